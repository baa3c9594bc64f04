"""The training loop (Shao et al., DeepSeekMath, arXiv 2402.03300, algorithm 1).

For each step: sample N completions to each of P problems with the present policy, check them, and
let the algorithm learn from the 0/1 rewards. With GRPO that is: turn the rewards of each group into
advantages, and raise the log-probs of the completions that did better than their group. What it
leaves out: a value network (the group's mean is the baseline), a reward model (a checker says what
is right), a second copy of the weights for the reference (the base with the adapter off).
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError
from common.files import write_text
from common.progress import progress_bar
from data import PromptTemplate, load_problems
from data.load import set_name
from eval.harness import Protocol, sample_problems
from eval.result import save_result, summarize
from rewards import Checker
from sampling import Sampler, load_sampler, pick_backend
from sampling.model import context_length, load_model, load_tokenizer
from train.advice import Advisor
from train.algorithms import Algorithm, pick_algorithm
from train.batches import step_seed
from train.checkpoint import load_state, remove_old, save_checkpoint, step_folder
from train.config import TrainConfig
from train.curriculum import Curriculum
from train.folder import open_folder, resume_command, warn
from train.memory import memory_advice
from train.metrics import Metrics, MetricsLog, peak_memory_gib, progress_note
from train.opening import fitting, open_policy, overlap_warning
from train.pairs import PairFile
from train.rollout import Rollout, collect, joined, rollout_metrics, save_rollout, show_completions
from train.schedule import learning_rate
from train.stop import polite_stop

PATIENCE = 3  # steps in a row without a finite gradient, before the run stops


class TrainRun:
    """One training run in its folder: everything that lives from the first step to the last."""

    def __init__(self, config: TrainConfig, *, resume: bool = False):
        self.config = config
        algorithm = pick_algorithm(config)
        self.folder = Path(config.run.dir)
        problems = load_problems(config.data.train, limit=config.data.limit)
        self.tokenizer = load_tokenizer(config.model.path)
        self.template = PromptTemplate(self.tokenizer, config.data.template)
        base = load_model(config.model.path, dtype=config.model.dtype)
        self.problems = fitting(problems, self.template, config, context_length(base.config))
        self.curriculum = Curriculum(len(self.problems), config.run.seed, config.grpo.curriculum)
        checkpoint = open_folder(self.folder, config, resume=resume)
        self.policy = open_policy(base, checkpoint, config)
        self.algorithm = algorithm(config, self.policy, self.tokenizer)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.algorithm),
            lr=config.optimizer.lr,
            betas=config.optimizer.betas,
            weight_decay=config.optimizer.weight_decay,
        )
        self.done, self.bad_steps, self.best = 0, 0, Best()
        if checkpoint is not None:
            self._restore(load_state(checkpoint))
        elif overlap := overlap_warning(config, problems):
            warn(self.folder, overlap)
        pairs = config.data.pairs
        self.pairs = PairFile(pairs, self.template) if pairs else None
        self.checker = Checker(strict=config.grpo.strict)
        self.sampler = self._open_sampler()

    def _state(self) -> dict[str, Any]:
        """What a checkpoint remembers beside the adapter."""
        return {
            "step": self.done,
            "optimizer": self.optimizer.state_dict(),
            "algorithm": self.algorithm.state(),
            "curriculum": self.curriculum.state(),
            "best": dataclasses.astuple(self.best),
            "bad_steps": self.bad_steps,
            "reference": self.policy.reference_state(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.algorithm.restore(state["algorithm"])
        self.curriculum.restore(state["curriculum"])
        self.done, self.bad_steps = state["step"], state["bad_steps"]
        self.best = Best(*state["best"])
        if state["reference"] is not None:
            self.policy.move_reference(state["reference"])

    def _open_sampler(self) -> Sampler:
        settings = self.config.sampler
        backend, options = pick_backend(settings.backend), dict(settings.options)
        if backend == "torch":
            return load_sampler("torch", self.policy.model, tokenizer=self.tokenizer, **options)
        options.setdefault("max_lora_rank", self.config.lora.rank)
        options.setdefault("dtype", self.config.model.dtype)
        options.setdefault("log", self.folder / "vllm.log")
        sampler = load_sampler(backend, self.config.model.path, **options)
        sampler.update_adapter(self.policy)
        return sampler

    def train(self) -> None:
        """The loop: sample, check, learn, record, until the last step or a polite stop."""
        config = self.config
        steps = config.run.steps
        log = MetricsLog(self.folder, resume_after=self.done, trackers=config.run.trackers)
        advisor = Advisor(sampler_kl=config.sampler.kl_warning, beta=config.grpo.beta)
        with progress_bar() as progress, polite_stop() as stop, memory_advice(config):
            task = progress.add_task(
                config.algorithm.upper(), total=steps, completed=self.done, note=""
            )
            if self.done == 0 and config.eval.every:
                self.evaluate(0)
            while self.done < steps and not stop.wanted:
                step = self.done + 1
                rollout, metrics = self.sample(step)
                metrics |= self.learn(step, rollout)
                self.keep(step, rollout, metrics)
                if self._evaluation_due(step):
                    metrics |= self.evaluate(step)
                due = step == steps or stop.wanted or step % config.run.save_every == 0
                if due and self.best.step != step:  # the best is saved already
                    self.save(step)
                log.write(metrics)
                for warning in advisor.look(metrics):
                    warn(self.folder, warning)
                progress.update(task, completed=step, note=progress_note(metrics))
        log.close()
        self.sampler.close()
        if self.done < steps:
            print(f"stopped after step {self.done}; go on with: {resume_command(config)}")

    def _evaluation_due(self, step: int) -> bool:
        settings = self.config.eval
        if settings.data is None:
            return False
        return step == self.config.run.steps or bool(settings.every and step % settings.every == 0)

    def sample(self, step: int) -> tuple[Rollout, Metrics]:
        """The step's rollout, and what it tells; with dynamic sampling, of several draws."""
        config, grpo = self.config, self.config.grpo
        if self.pairs is not None and self.algorithm.wants_pairs:
            rollout = self.pairs.draw(grpo.prompts, step_seed(config.run.seed, step))
            return rollout, {"step": step, **rollout_metrics([rollout])}
        draws: list[Rollout] = []
        while True:
            indices = self.curriculum.take(grpo.prompts)
            problems = [self.problems[i] for i in indices]
            draws.append(
                collect(
                    problems,
                    [self.template.encode(problem.question) for problem in problems],
                    self.sampler,
                    self.checker,
                    config.sampler,
                    grpo,
                    seed=step_seed(config.run.seed, step) + len(draws),
                )
            )
            self.curriculum.learn(indices, draws[-1].rewards.mean(1).tolist())
            enough = sum(int(r.signal.sum()) for r in draws) >= grpo.prompts
            if enough or not grpo.dynamic_sampling or len(draws) == grpo.max_draws:
                break
        rollout = draws[0] if len(draws) == 1 else joined(draws, grpo)
        return rollout, {"step": step, **rollout_metrics(draws)}

    def learn(self, step: int, rollout: Rollout) -> Metrics:
        """Update the policy on a rollout, hand the weights to the sampler, say what happened."""
        config = self.config
        settings = config.optimizer
        rate = learning_rate(
            step - 1,
            config.run.steps,
            peak=settings.lr,
            schedule=settings.schedule,
            warmup_steps=settings.warmup_steps,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["relative"]
        begun = time.perf_counter()
        seed = step_seed(config.run.seed, step)
        torch.manual_seed(seed)  # for dropout, if there is any
        if config.sampler.sleep:
            self.sampler.sleep()
        stats = self.algorithm.learn(self.optimizer, rollout, seed=seed)
        if config.sampler.sleep:  # a run that fails in between need not wake it
            self.sampler.wake()
        self._judge(step, rollout, stats)
        every = config.grpo.reference_every
        if every and step % every == 0:
            self.policy.move_reference()
        self.sampler.update_adapter(self.policy)
        self.done = step
        train_seconds = time.perf_counter() - begun
        return {
            **stats,
            "lr": rate,
            "time/train_s": train_seconds,
            "tokens_per_s": rollout.tokens
            / (rollout.sample_seconds + rollout.reward_seconds + train_seconds),
            "memory_gib": peak_memory_gib(),
        }

    def _judge(self, step: int, rollout: Rollout, stats: Metrics) -> None:
        """Keep the rollout of a step without a finite gradient; stop at the third in a row."""
        if not stats["skipped_steps"]:
            self.bad_steps = 0
            return
        self.bad_steps += 1
        kept = self.folder / "rollouts" / f"not_finite_{step:06d}.parquet"
        save_rollout(kept, rollout)
        warn(self.folder, f"step {step}: loss or gradient is not finite; skipped, see {kept}")
        if self.bad_steps == PATIENCE:
            raise UserError(
                f"{PATIENCE} steps in a row without a finite gradient; the last good checkpoint is "
                f"kept. Lower optimizer.lr or use float32, then: {resume_command(self.config)}"
            )

    def keep(self, step: int, rollout: Rollout, metrics: Metrics) -> None:
        """Keep the rollout, and show some of it if asked."""
        if self.config.run.save_rollouts:
            save_rollout(self.folder / "rollouts" / f"step_{step:06d}.parquet", rollout)
        if self.config.run.show_completions:
            show_completions(step, rollout, self.config.run.show_completions)

    def save(self, step: int) -> None:
        """Write the checkpoint of a step; remove those that need not be kept."""
        folder = step_folder(self.folder, step)
        save_checkpoint(folder, self.policy, self._state(), self.config.model.path)
        remove_old(self.folder, self.config.run.keep_last, self.best.step)

    def evaluate(self, step: int) -> Metrics:
        """Measure the policy on the held-out problems and keep the result in the run."""
        config = self.config
        problems = load_problems(str(config.eval.data), limit=config.eval.limit)
        protocol = Protocol(
            n=config.eval.n,
            temperature=config.sampler.temperature,
            max_tokens=config.sampler.max_tokens,
            seed=config.run.seed,
        )
        samples = sample_problems(
            self.sampler, problems, self.template, self.checker, protocol, quiet=True
        )
        checkpoint = step_folder(self.folder, step) if step else None
        results = summarize(
            samples,
            config.eval.k,
            model=config.model.path,
            adapter=str(checkpoint) if checkpoint else None,
            data=str(config.eval.data),
            seed=config.run.seed,
            temperature=protocol.temperature,
        )
        name = checkpoint.name if checkpoint else "base"
        save_result(self.folder / "eval" / set_name(str(config.eval.data)) / name, results, samples)
        found = {f"eval/pass@{k}": v["mean"] for k, v in results["pass_at_k"].items()}
        if step and (score := next(iter(found.values()))) > self.best.score:
            self.best = Best(step, score)
            self.save(step)
            write_text(self.folder / "best.json", json.dumps(dataclasses.asdict(self.best)) + "\n")
        return found


def parameter_groups(algorithm: Algorithm) -> list[dict[str, Any]]:
    """Policy and critic, each with its learning rate relative to the policy's."""
    mine = algorithm.policy.parameters
    known = set(map(id, mine))
    groups: list[dict[str, Any]] = [{"params": mine, "relative": 1.0}]
    if others := [p for p in algorithm.parameters() if id(p) not in known]:
        config = algorithm.config
        groups.append({"params": others, "relative": config.critic.lr / config.optimizer.lr})
    return groups


@dataclasses.dataclass
class Best:
    """The step that did best on the held-out problems so far."""

    step: int = 0
    score: float = -1.0

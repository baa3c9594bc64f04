"""Group Relative Policy Optimization (Shao et al., DeepSeekMath, arXiv 2402.03300, algorithm 1).

For each step: sample N completions to each of P problems with the present policy, check them,
turn the 0/1 rewards of each group into advantages, and raise the log-probs of the completions
that did better than their group. What is left out: a value network (the group's mean is the
baseline), a reward model (a checker says what is right), a second copy of the weights for the
reference (the base with the adapter off).
"""

import sys
import time
from pathlib import Path

import torch

from common.errors import UserError
from common.progress import progress_bar
from data import Problem, PromptTemplate, load_problems
from data.load import set_name
from eval.harness import Protocol, sample_problems
from eval.result import save_result, summarize
from rewards import Checker
from sampling import Sampler, load_sampler, pick_backend
from sampling.model import context_length, load_adapter, load_model, load_tokenizer
from train.batches import batch_indices, step_seed
from train.checkpoint import load_state, save_checkpoint, step_folder
from train.config import TrainConfig
from train.folder import open_folder, resume_command
from train.metrics import Metrics, MetricsLog, peak_memory_gib
from train.policy import Policy, add_lora
from train.rollout import Rollout, collect, save_rollout
from train.schedule import learning_rate
from train.stop import polite_stop
from train.update import update


class GrpoRun:
    """One training run in its folder: everything that lives from the first step to the last."""

    def __init__(self, config: TrainConfig, *, resume: bool = False):
        self.config = config
        self.folder = Path(config.run.dir)
        self.problems = load_problems(config.data.train, limit=config.data.limit)
        self.tokenizer = load_tokenizer(config.model.path)
        self.template = PromptTemplate(self.tokenizer, config.data.template)
        base = load_model(config.model.path, dtype=config.model.dtype)
        self.problems = self._fitting(self.problems, context_length(base.config))
        checkpoint = open_folder(self.folder, config, resume=resume)
        if checkpoint is None:
            model = add_lora(base, config.lora, config.run.seed)
        else:
            model = load_adapter(base, checkpoint, config.model.path, train=True)
        if config.model.gradient_checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.policy = Policy(model.eval(), config.sampler.temperature)
        self.optimizer = torch.optim.AdamW(
            self.policy.parameters,
            lr=config.optimizer.lr,
            betas=config.optimizer.betas,
            weight_decay=config.optimizer.weight_decay,
        )
        self.done = 0
        if checkpoint is not None:
            state = load_state(checkpoint)
            self.optimizer.load_state_dict(state["optimizer"])
            self.done = state["step"]
        self.checker = Checker()
        self.sampler = self._open_sampler()

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

    def _fitting(self, problems: list[Problem], context: int) -> list[Problem]:
        """The problems whose prompt leaves room for a completion; says how many do not."""
        longest = context - self.config.sampler.max_tokens
        longest = min(longest, self.config.data.max_prompt_tokens or longest)
        fitting = [p for p in problems if len(self.template.encode(p.question)) <= longest]
        if not fitting:
            raise UserError(
                f"{self.config.data.train}: no prompt leaves room for sampler.max_tokens = "
                f"{self.config.sampler.max_tokens} in the context of {context} tokens"
            )
        if left_out := len(problems) - len(fitting):
            print(
                f"{left_out} of {len(problems)} problems are left out: their prompts are longer "
                f"than {longest} tokens",
                file=sys.stderr,
            )
        return fitting

    def train(self) -> None:
        """The loop: sample, check, learn, record, until the last step or a polite stop."""
        config = self.config
        steps, log = config.run.steps, MetricsLog(self.folder, resume_after=self.done)
        with progress_bar() as progress, polite_stop() as stop:
            task = progress.add_task("GRPO", total=steps, completed=self.done, note="")
            if self.done == 0 and config.eval.every:
                self.evaluate(0)
            while self.done < steps and not stop.wanted:
                step = self.done + 1
                rollout = self.sample(step)
                metrics = self.learn(step, rollout)
                if config.run.save_rollouts:
                    save_rollout(self.folder / "rollouts" / f"step_{step:06d}.parquet", rollout)
                last = step == steps or stop.wanted
                if last or step % config.run.save_every == 0:
                    self.save(step)
                if self._evaluation_due(step):
                    metrics |= self.evaluate(step)
                log.write(metrics)
                progress.update(task, completed=step, note=_note(metrics))
        log.close()
        self.sampler.close()
        if self.done < steps:
            print(f"stopped after step {self.done}; go on with: {resume_command(config)}")

    def _evaluation_due(self, step: int) -> bool:
        settings = self.config.eval
        if settings.data is None:
            return False
        return step == self.config.run.steps or bool(settings.every and step % settings.every == 0)

    def sample(self, step: int) -> Rollout:
        """The step's problems, N completions each, their verdicts and advantages."""
        config = self.config
        problems = [
            self.problems[i]
            for i in batch_indices(len(self.problems), config.grpo.prompts, step, config.run.seed)
        ]
        return collect(
            problems,
            [self.template.encode(problem.question) for problem in problems],
            self.sampler,
            self.checker,
            config.sampler,
            n=config.grpo.completions,
            scale=config.grpo.scale,
            seed=step_seed(config.run.seed, step),
        )

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
        self.optimizer.param_groups[0]["lr"] = rate
        begun = time.perf_counter()
        torch.manual_seed(step_seed(config.run.seed, step))  # for dropout, if there is any
        stats = update(
            self.policy,
            self.optimizer,
            rollout,
            config.grpo,
            max_tokens=config.sampler.max_tokens,
            tokens_per_pass=settings.tokens_per_pass,
            max_grad_norm=settings.max_grad_norm,
            seed=step_seed(config.run.seed, step),
        )
        self.sampler.update_adapter(self.policy)
        self.done = step
        train_seconds = time.perf_counter() - begun
        return {
            "step": step,
            **rollout_metrics(rollout),
            **stats,
            "lr": rate,
            "time/sample_s": rollout.sample_seconds,
            "time/reward_s": rollout.reward_seconds,
            "time/train_s": train_seconds,
            "tokens_per_s": rollout.tokens
            / (rollout.sample_seconds + rollout.reward_seconds + train_seconds),
            "memory_gib": peak_memory_gib(),
        }

    def save(self, step: int) -> None:
        """Write the checkpoint of a step."""
        folder = step_folder(self.folder, step)
        save_checkpoint(folder, self.policy, self.optimizer, step, self.config.model.path)

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
        return {f"eval/pass@{k}": v["mean"] for k, v in results["pass_at_k"].items()}


def rollout_metrics(rollout: Rollout) -> Metrics:
    """What the rollout alone tells."""
    completions = [c for group in rollout.completions for c in group]
    means = rollout.rewards.mean(1)
    return {
        "reward/mean": float(rollout.rewards.mean()),
        "reward/std": float(rollout.rewards.std()),
        "groups/all_right": float((means == 1).float().mean()),
        "groups/all_wrong": float((means == 0).float().mean()),
        "completion/mean_tokens": rollout.tokens / len(completions),
        "completion/truncated": sum(c.finish_reason == "length" for c in completions)
        / len(completions),
    }


def _note(metrics: Metrics) -> str:
    """The numbers beside the progress bar."""
    parts = [
        f"reward {metrics['reward/mean']:.2f}",
        f"tokens {metrics['completion/mean_tokens']:.0f}",
    ]
    if metrics["kl"] is not None:
        parts.insert(1, f"KL {metrics['kl']:.4f}")
    if "eval/pass@1" in metrics:
        parts.append(f"held-out pass@1 {metrics['eval/pass@1']:.3f}")
    return "  ".join(parts)

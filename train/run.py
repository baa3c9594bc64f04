"""The training loop (Shao et al., DeepSeekMath, arXiv 2402.03300, algorithm 1).

For each step: sample N completions to each of P problems with the present policy, check them, and
let the algorithm learn from the 0/1 rewards. With GRPO that is: turn the rewards of each group into
advantages, and raise the log-probs of the completions that did better than their group. What it
leaves out: a value network (the group's mean is the baseline), a reward model (a checker says what
is right), a second copy of the weights for the reference (the base with the adapter off; after a
warm start a frozen copy of the adapter it started from).
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import ranks
from common.errors import UserError, first_line
from common.progress import progress_bar
from data import Problem, fingerprint, load_problems
from eval.harness import evaluate
from eval.result import save_result
from eval.shared import SharedChecker
from models.loading import context_length, load_model, load_tokenizer
from sampling import SamplingParams
from train import build
from train.algorithms.base import Algorithm
from train.batch import Batch
from train.config import TrainConfig
from train.guard import Stop, memory_advice, polite_stop
from train.parallel import take_first
from train.recorder import Recorder
from train.records.card import adapter_card
from train.records.checkpoint import load_state, save_checkpoint
from train.records.folder import resume_command, run_folder
from train.records.metrics import Metrics
from train.registry import algorithm_class
from train.rewarder import Rewarder
from train.rollout import Rollout
from train.rollouts import Rollouts
from train.schedule import learning_rate
from train.update import update

PATIENCE = 3  # steps in a row without a finite gradient, before the run stops


def train(run: "Run") -> None:
    """The loop, until the last step or until someone asks it to stop."""
    with run.guarded() as stop:  # progress, signals, out-of-memory advice
        for step in run.remaining_steps(stop):
            rollout = run.rollouts.next(step)  # sampled, checked, rewarded   [P, N]
            with run.sampler_asleep():
                batch = run.algorithm.prepare(rollout)  # advantages [B] or [B, T]
                stats = update(run.policy, run.optimizer, batch, run.algorithm, run.schedule(step))
            run.rollouts.update_adapter(run.policy, step)
            run.record(step, rollout, batch, stats)  # metrics line first, then what may fail
            if run.checkpoint_due(step):
                run.save(step)
            if run.evaluation_due(step):
                run.evaluate(step)


class Run:
    """One training run in its folder: everything that lives from the first step to the last."""

    def __init__(self, config: TrainConfig, *, resume: bool = False):
        algorithm = algorithm_class(config.algorithm.name)
        build.refuse_ranks(config, algorithm)
        build.refuse_options(config)
        self.config, self.folder = config, run_folder(config.run.dir)
        self.folder.refuse_wrong_start(resume=resume)
        if not resume:
            build.refuse_wrong_start(config)
        sets = build.load_sets(config)
        held_out = config.eval.data
        self.held_out = load_problems(held_out, limit=config.eval.limit) if held_out else []
        tokenizer = load_tokenizer(config.model.path)
        self.prompt = build.prompt_template(tokenizer, config.prompt)
        base = load_model(
            config.model.path, dtype=config.model.dtype, quantize=config.model.quantize
        )
        build.check_lora(base, config)
        kept = build.fitting(sets, self.prompt, config, context_length(base.config))
        with contextlib.ExitStack() as opened:
            opened.enter_context(self.folder.locked())
            data = fingerprint(p for problems in sets.values() for p in problems)
            ranks.agreed("the set of training problems", data)
            checkpoint = self.folder.open(config, data, resume=resume)
            self.policy = build.open_policy(base, checkpoint, config)
            self.algorithm: Algorithm = algorithm(config, self.policy, self.prompt)
            self.optimizer = build.open_optimizer(self.algorithm, config)
            # Rank 0 alone reads the checkpoint; each rank's sampler is opened with the policy.
            take_first(p for group in self.optimizer.param_groups for p in group["params"])
            self.checker = opened.enter_context(
                SharedChecker(strict=config.reward.strict, form=config.reward.form)
            )
            self.rewarder = opened.enter_context(
                Rewarder(config.reward, config.sampling.max_tokens, self.folder.warn)
            )
            log = self.folder.path / "vllm.log"
            self.sampler = opened.enter_context(
                build.open_sampler(
                    self.policy,
                    tokenizer,
                    config,
                    log,
                    lambda: build.longest_call(kept.problems, self.held_out, self.prompt, config),
                )
            )
            self._opened = opened.pop_all()
        self.rollouts = Rollouts(
            config,
            list(sets),
            kept,
            self.prompt,
            self.sampler,
            self.checker,
            self.rewarder,
            self.algorithm,
        )
        self._opened.callback(self.rollouts.close)
        self.done, self.bad_steps = 0, 0
        self._stopping = False
        self._begin(sets, checkpoint)

    def _begin(self, sets: dict[str, list[Problem]], checkpoint: Path | None) -> None:
        """Go on from a checkpoint, or from the start with what is worth a warning."""
        state = ranks.first(load_state(checkpoint) if checkpoint else None)
        if state is not None:
            self._restore(state)
        else:
            for warning in build.overlap_warnings(sets, self.held_out):
                self.folder.warn(warning)

    # -- around the loop

    @contextlib.contextmanager
    def guarded(self) -> Iterator[Stop]:
        """Progress, the metrics' log, polite signals, and advice where memory runs out."""
        config = self.config
        with (
            self._opened,
            memory_advice(config),
            progress_bar() as progress,
            polite_stop() as self._stop,
        ):
            self.recorder = Recorder(config, self.folder, progress, self.done)
            self._opened.callback(self.recorder.close)
            yield self._stop
        if self.done < config.run.steps and ranks.is_first():
            print(f"stopped after step {self.done}; resume with: {resume_command(config)}")

    def remaining_steps(self, stop: Stop) -> Iterator[int]:
        """The numbers of the steps to take, until someone asks to stop."""
        known = ranks.first(self._result(self.done).is_dir()) if self.config.eval.data else True
        if self.evaluation_due(self.done) and not known:
            self.evaluate(self.done)
        self._stopping = ranks.any_of(stop.wanted)
        while self.done < self.config.run.steps and not self._stopping:
            yield self.done + 1

    @contextlib.contextmanager
    def sampler_asleep(self) -> Iterator[None]:
        """Lend the sampler's memory to the update, where asked to."""
        if not self.config.sampling.sleep:
            yield
            return
        self.sampler.sleep()
        yield
        self.sampler.wake()  # a run that fails in between need not wake it

    def schedule(self, step: int) -> float:
        """The learning rate of a step."""
        settings = self.config.optimizer
        return learning_rate(
            step - 1,
            self.config.run.steps,
            peak=settings.lr,
            schedule=settings.schedule,
            warmup_steps=settings.warmup_steps,
        )

    # -- after a step

    def record(self, step: int, rollout: Rollout, batch: Batch, stats: Metrics) -> None:
        """Write the step's metrics line, keep its rollout, show and warn."""
        self._stopping = ranks.any_of(self._stop.wanted)
        self._count_bad_steps(rollout, batch, stats)
        self.recorder.step(rollout, batch, stats)
        self.done = step

    def _count_bad_steps(self, rollout: Rollout, batch: Batch, stats: Metrics) -> None:
        """Keep the rollout of a step without a finite gradient; stop at the third in a row."""
        if not stats["skipped_steps"]:
            self.bad_steps = 0
            return
        self.bad_steps += 1
        self.recorder.not_finite(rollout, batch)
        if self.bad_steps == PATIENCE:
            raise UserError(
                f"{PATIENCE} steps in a row without a finite gradient; the last good checkpoint is "
                f"kept. Lower optimizer.lr or use float32, then: {resume_command(self.config)}"
            )

    def checkpoint_due(self, step: int) -> bool:
        """Whether to save after a step: at intervals, at the end, and whatever is evaluated."""
        config = self.config.run
        at_interval = step % config.save_every == 0
        return at_interval or step == config.steps or self._stopping or self.evaluation_due(step)

    def save(self, step: int) -> None:
        """Write the checkpoint of a step; remove those that need not be kept."""
        state = self._state()
        if not ranks.is_first():
            return
        folder = self.folder.checkpoint(step)
        card = adapter_card(self.config, self.prompt.describe(), step)
        save_checkpoint(folder, self.policy, state, self.config.model.path, card)
        if not self.evaluation_due(step):  # else once it is known which is best
            self.folder.remove_old(self.config.run.keep_last)

    def evaluation_due(self, step: int) -> bool:
        """Whether the policy after a step is to be measured; step 0 is the start."""
        settings = self.config.eval
        if settings.data is None:
            return False
        at_end = step == self.config.run.steps
        return at_end or bool(settings.every and step % settings.every == 0)

    def evaluate(self, step: int) -> None:
        """Measure the policy on the held-out problems; whatever fails costs no step."""
        config = self.config
        try:
            found = self._measure(step)
        except Exception as error:
            self.folder.warn(f"step {step}: the evaluation failed ({first_line(error)})")
            return
        finally:
            self.folder.remove_old(config.run.keep_last)
        self.recorder.evaluation(step, found)

    def _measure(self, step: int) -> Metrics:
        config = self.config
        results, samples = evaluate(
            self.sampler,
            self.held_out,
            self.prompt,
            self.checker,
            SamplingParams(
                temperature=config.sampling.temperature,
                max_tokens=config.eval.max_tokens or config.sampling.max_tokens,
                seed=config.run.seed,
                stop=tuple(config.sampling.stop),
            ),
            n=config.eval.n,
            ks=config.eval.k,
            model=config.model.path,
            adapter=str(self.folder.checkpoint(step)) if step else config.model.adapter,
            data=str(config.eval.data),
            quiet=True,
        )
        if ranks.is_first():
            save_result(self._result(step), results, samples)
            self.folder.mark_best(str(config.eval.data))
        return {f"eval/pass@{k}": v["mean"] for k, v in results["pass_at_k"].items()}

    def _result(self, step: int) -> Any:
        return self.folder.evaluation(str(self.config.eval.data), step)

    # -- checkpoints

    def _state(self) -> dict[str, Any]:
        """What a checkpoint remembers beside the adapter."""
        return {
            "step": self.done,
            "optimizer": self.optimizer.state_dict(),
            "algorithm": self.algorithm.state(),
            "rollouts": self.rollouts.state(),
            "bad_steps": self.bad_steps,
            "reference": self.policy.reference_state(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.algorithm.restore(state["algorithm"])
        self.rollouts.restore(state["rollouts"])
        self.done, self.bad_steps = state["step"], state["bad_steps"]
        if state["reference"] is not None:
            self.policy.move_reference(state["reference"])

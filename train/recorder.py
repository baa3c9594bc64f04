"""What a step leaves behind: its metrics line first, then its rollout, warnings and progress."""

from rich.progress import Progress

from common import ranks
from train.batch import Batch
from train.config import TrainConfig
from train.records.diagnostics import Diagnostics
from train.records.folder import RunFolder
from train.records.metrics import Metrics, MetricsLog, peak_memory_gib, progress_note
from train.records.rollouts import save_rollout, show_completions
from train.rollout import Rollout


class Recorder:
    """Writes and shows the steps of a run, in rank 0; in other ranks it does nothing."""

    def __init__(self, config: TrainConfig, folder: RunFolder, progress: Progress, done: int):
        """`done` steps lie behind; lines of later ones, left by a dead process, are dropped."""
        self.config, self.folder = config, folder
        self._shown: Metrics = {}  # beside the progress bar
        if not ranks.is_first():
            return
        self._log = MetricsLog(
            folder.path,
            resume_after=done,
            trackers=config.run.trackers,
            config=config.model_dump(mode="json"),
            warn=folder.warn,
        )
        self._diagnostics = Diagnostics(
            sampler_kl=config.sampling.kl_warning,
            beta=getattr(config.algorithm, "beta", 0.0),
            ahead=config.rollout.ahead,
        )
        self._progress = progress
        self._task = progress.add_task(
            config.algorithm.name.upper(), total=config.run.steps, completed=done, note=""
        )

    def step(self, rollout: Rollout, batch: Batch, stats: Metrics) -> None:
        """Write the metrics line of a step; keep its rollout, warn, and show."""
        if not ranks.is_first():
            return
        sampling = rollout.sample_seconds + rollout.reward_seconds
        metrics: Metrics = {
            **rollout.metrics(),
            **stats,
            "tokens_per_s": rollout.tokens / (sampling + float(stats["time/train_s"] or 0)),
            "memory_gib": peak_memory_gib(),
        }
        self._log.write(metrics)
        if self.config.run.save_rollouts:
            save_rollout(self.folder.rollout(rollout.step), rollout, batch.advantages())
        if self.config.run.show_completions:
            show_completions(rollout, self.config.run.show_completions)
        for warning in self._diagnostics.look(metrics):
            self.folder.warn(warning)
        self._shown = metrics
        self._progress.update(self._task, completed=rollout.step, note=progress_note(metrics))

    def not_finite(self, rollout: Rollout, batch: Batch) -> None:
        """Keep the rollout of a step without a finite gradient, and say so."""
        if not ranks.is_first():
            return
        kept = self.folder.skipped_rollout(rollout.step)
        save_rollout(kept, rollout, batch.advantages())
        self.folder.warn(
            f"step {rollout.step}: loss or gradient is not finite; skipped, see {kept}"
        )

    def evaluation(self, step: int, found: Metrics) -> None:
        """Add what the evaluation after a step found."""
        if not ranks.is_first():
            return
        self._log.amend(step, found)
        self._progress.update(self._task, note=progress_note({**self._shown, **found}))

    def close(self) -> None:
        """Close the log and the trackers."""
        if ranks.is_first():
            self._log.close()

"""What smells wrong in a run, with what to do about it; each warning is given once in a while."""

import math
from collections import deque

from train.records.metrics import Metrics

WINDOW = 20  # steps that are looked at together
SILENCE = 50  # steps before the same warning comes again


class Diagnostics:
    """Watches the metrics of a run, step by step."""

    def __init__(self, *, sampler_kl: float, beta: float, ahead: int = 0):
        """`ahead`: rollouts are a step old, so that the sampler's policy is meant to differ."""
        self.sampler_kl_limit, self.beta = math.inf if ahead else sampler_kl, beta
        self._lines: deque[Metrics] = deque(maxlen=WINDOW)
        self._said: dict[str, int] = {}

    def look(self, metrics: Metrics) -> list[str]:
        """New warnings, the present step's metrics considered."""
        self._lines.append(metrics)
        step = int(metrics["step"] or 0)
        fresh = []
        for name, text in self._found().items():
            if step - self._said.get(name, -SILENCE) >= SILENCE:
                self._said[name] = step
                fresh.append(f"step {step}: {text}")
        return fresh

    def _mean(self, key: str, part: slice = slice(None)) -> float | None:
        values = [float(v) for line in list(self._lines)[part] if (v := line.get(key)) is not None]
        return sum(values) / len(values) if values else None

    def _found(self) -> dict[str, str]:
        found: dict[str, str] = {}
        gap = self._lines[-1].get("sampler_kl")
        if gap is not None and gap > self.sampler_kl_limit:
            found["sampler"] = (
                f"sampler and trainer disagree (sampler_kl {gap:.4f} above "
                f"{self.sampler_kl_limit}), both without dropout: use the same dtype in both, or "
                'algorithm.correction = "token" or "sequence"'
            )
        if self._lines[-1].get("rlhf/pairs") == 0:
            found["pairs"] = (
                "no group holds a right and a wrong completion, so the reward model has no pair to "
                "learn from; PPO waits for it: take other problems, more rollout.completions, or "
                "algorithm.pairs"
            )
        if len(self._lines) < WINDOW:
            return found
        return {**found, **self._levels(), **self._trends()}

    def _levels(self) -> dict[str, str]:
        """What the means of the whole window tell."""
        found: dict[str, str] = {}
        reward = self._mean("reward/mean") or 0.0
        if reward < 0.01:
            found["zero"] = (
                "hardly any completion is right: check the prompt template and the golds, take "
                "easier problems, or start from an SFT model"
            )
        if reward > 0.99:
            found["one"] = "nearly every completion is right: take harder problems"
        if 1 - (self._mean("groups/all_right") or 0) - (self._mean("groups/all_wrong") or 0) < 0.2:
            found["signal"] = (
                "fewer than a fifth of the groups have a signal: rollout.dynamic_sampling, "
                'rollout.curriculum = "weight", or more completions a prompt'
            )
        return found

    def _trends(self) -> dict[str, str]:
        """What the second half of the window tells beside the first."""
        found: dict[str, str] = {}
        half = WINDOW // 2
        early, late = self._mean("entropy", slice(half)), self._mean("entropy", slice(half, None))
        if early and late is not None and late < 0.3 * early and late < 0.05:
            found["entropy"] = (
                f"entropy fell from {early:.3f} to {late:.3f}: a lower learning rate, a higher "
                "algorithm.epsilon_high, or a algorithm.entropy_bonus keep more variety"
            )
        kl = self._mean("kl", slice(half, None))
        if self.beta and kl is not None and kl > 1.0:
            found["kl"] = f"KL to the reference is {kl:.2f}: a lower learning rate or a higher beta"
        lengths = [
            self._mean("completion/mean_tokens", s) for s in (slice(half), slice(half, None))
        ]
        rewards = [self._mean("reward/mean", s) for s in (slice(half), slice(half, None))]
        longer = lengths[0] and lengths[1] and lengths[1] > 1.3 * lengths[0]
        if longer and (rewards[1] or 0) < (rewards[0] or 0) + 0.01:
            found["length"] = (
                f"completions grow ({lengths[0]:.0f} to {lengths[1]:.0f} tokens) and the "
                "reward does not: reward.overlong_free, or the loss dr_grpo"
            )
        if (self._mean("completion/truncated", slice(half, None)) or 0) > 0.3:
            found["truncated"] = (
                "over 30% of the completions are cut off: raise sampling.max_tokens, or set "
                "algorithm.mask_truncated"
            )
        echo = self._mean("reward/echo", slice(half, None)) or 0
        if echo > 0.1:
            found["echo"] = (
                f"{echo:.0%} of the answers only repeat a formula of the question: "
                'reward.form = "final" pays for none of them that could be worked out'
            )
        unmarked = self._mean("reward/unmarked", slice(half, None)) or 0
        if unmarked > 0.3 and unmarked > 2 * (self._mean("reward/unmarked", slice(half)) or 0):
            found["unmarked"] = (
                f"{unmarked:.0%} of the rewarded answers are merely the last number of a "
                "completion: the policy may be guessing; reward.strict wants the answer marked"
            )
        return found

"""Where rollouts come from: problems are picked, sampled, checked and rewarded."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float

from common import ranks
from common.shapes import P_N
from data import Mixture, Problem, PromptTemplate
from eval.judge import judge
from rewards import Checker, Verdict
from rewards.functions import length_penalty
from sampling import Completion, Sampler, SamplingParams
from train.ahead import Ahead
from train.algorithms.base import Algorithm
from train.config import TrainConfig
from train.curriculum import Curriculum
from train.rewarder import Rewarder, Rewards
from train.rollout import Rollout, join
from train.schedule import step_seed


class Rollouts:
    """Hands out one rollout a step, the same for the same seed, step and policy."""

    def __init__(
        self,
        config: TrainConfig,
        sources: Sequence[str],
        mixture: Mixture,
        prompt: PromptTemplate,
        sampler: Sampler,
        checker: Checker,
        rewarder: Rewarder,
        algorithm: Algorithm,
    ):
        self.config, self.sources, self.mixture, self.prompt = config, sources, mixture, prompt
        self.sampler, self.checker, self.rewarder = sampler, checker, rewarder
        self.algorithm = algorithm
        problems = len(mixture.problems)
        if config.rollout.prompts > problems:
            print(
                f"rollout.prompts = {config.rollout.prompts} with {problems} problems: each step "
                "asks some of them more than once",
                file=sys.stderr,
            )
        self.curriculum = Curriculum(mixture, config.rollout.curriculum)
        self._ahead = Ahead(self._make, config.run.steps) if config.rollout.ahead else None
        self._served = 0  # the step whose update made the sampler's adapter

    def next(self, step: int) -> Rollout:
        """The rollout of a step: sampled now, or a step ahead."""
        return self._ahead.next(step) if self._ahead else self._make(step)

    def update_adapter(self, policy: Any, step: int) -> None:
        """Have what comes sampled with the policy after `step`; no rollout mixes two adapters."""
        if self._ahead:
            self._ahead.land()
        self.sampler.update_adapter(policy)
        self._served = step

    def _make(self, step: int) -> Rollout:
        """A rollout; with dynamic sampling, chosen from several draws."""
        settings, seed = self.config.rollout, step_seed(self.config.run.seed, step)
        if (own := self.algorithm.own_rollout(step, seed)) is not None:
            return own
        draws: list[Rollout] = []
        while True:
            draws.append(self._draw(step, seed, len(draws)))
            mixed = sum(int(draw.mixed.sum()) for draw in draws)
            enough = not settings.dynamic_sampling or mixed >= settings.prompts
            if enough or len(draws) == settings.max_draws:
                return join(draws, settings.prompts)

    def _draw(self, step: int, seed: int, number: int) -> Rollout:
        """N completions to each of P problems, checked and rewarded."""
        indices = self.curriculum.take(self.config.rollout.prompts)
        problems = [self.mixture.problems[i] for i in indices]
        prompts = [self.prompt.encode(problem) for problem in problems]
        begun = time.perf_counter()
        n = self.config.rollout.completions
        completions = self.sampler.sample(prompts, n, self._params(seed + number))
        sampled = time.perf_counter()
        answered = [
            (problem, completion.text, completion.finish_reason == "length")
            for problem, group in zip(problems, completions, strict=True)
            for completion in group
        ]
        flat = judge(self.checker, answered)
        verdicts = [flat[i : i + n] for i in range(0, len(flat), n)]
        rewards = torch.tensor([[float(v.reward) for v in group] for group in verdicts])
        self.curriculum.learn(indices, rewards.mean(1).tolist())
        by_function = self._scored(problems, completions, verdicts, step)
        return Rollout(
            step=step,
            seed=seed,
            problems=problems,
            sources=[self.sources[self.mixture.source_of(i)] for i in indices],
            prompts=prompts,
            completions=completions,
            verdicts=verdicts,
            rewards=rewards,
            by_function=by_function,
            shaped=self.rewarder.total(by_function) + self._penalties(completions),
            outcome=self.rewarder.outcome(by_function),
            sample_seconds=sampled - begun,
            reward_seconds=time.perf_counter() - sampled,
            policy_step=self._served,
        )

    def _scored(
        self,
        problems: list[Problem],
        completions: list[list[Completion]],
        verdicts: list[list[Verdict]],
        step: int,
    ) -> Rewards:
        """The rewards of all functions, each rank asked for some of the groups."""

        def work(groups: list[Any]) -> list[dict[str, torch.Tensor]]:
            asked, written, judged = (list(column) for column in zip(*groups, strict=True))
            found = self.rewarder.score(asked, written, judged, step)
            return [{name: x[g] for name, x in found.items()} for g in range(len(groups))]

        rows = ranks.shared(work, list(zip(problems, completions, verdicts, strict=True)))
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _params(self, seed: int) -> SamplingParams:
        settings = self.config.sampling
        return SamplingParams(
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            seed=seed,
            top_p=settings.top_p,
            top_k=settings.top_k,
            min_p=settings.min_p,
            stop=tuple(settings.stop),
        )

    def _penalties(self, completions: list[list[Completion]]) -> Float[torch.Tensor, P_N]:
        free, limit = self.config.reward.overlong_free, self.config.sampling.max_tokens
        if free is None:
            return torch.zeros(len(completions), len(completions[0]))
        return overlong_penalties(completions, free, limit)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to remember; waits for a rollout in flight."""
        flight = self._ahead.state() if self._ahead else None
        return {**self.curriculum.state(), "flight": flight, "served": self._served}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.curriculum.restore(state)
        self._served = state["served"]
        if self._ahead:
            self._ahead.restore(state["flight"])

    def close(self) -> None:
        """Begin no more rollouts."""
        if self._ahead:
            self._ahead.close()


def overlong_penalties(
    completions: list[list[Completion]], free: int, limit: int
) -> Float[torch.Tensor, P_N]:
    """The soft penalty of each completion's length; see `rewards.functions.length_penalty`."""
    return torch.tensor(
        [[length_penalty(len(c.token_ids), free=free, limit=limit) for c in g] for g in completions]
    )

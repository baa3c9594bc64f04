"""The ladder: each algorithm a small file, all on the same rollouts, one registry."""

from common.errors import UserError, nearest
from train.algorithms.actor_critic import ActorCritic
from train.algorithms.base import ROLLOUT, Algorithm
from train.algorithms.dpo import Dpo
from train.algorithms.grpo import Grpo
from train.algorithms.ppo import Ppo, PpoPenalty
from train.algorithms.reinforce import Reinforce, Rloo
from train.algorithms.rlhf import Rlhf
from train.algorithms.trpo import Npg, Trpo
from train.config import NOT_SHARED, OWN_SECTIONS, TrainConfig

ALGORITHMS: dict[str, type[Algorithm]] = {
    "reinforce": Reinforce,
    "rloo": Rloo,
    "a2c": ActorCritic,
    "ppo": Ppo,
    "ppo_penalty": PpoPenalty,
    "grpo": Grpo,
    "rlhf": Rlhf,
    "dpo": Dpo,
    "trpo": Trpo,
    "npg": Npg,
}
ONCE = ("reinforce", "rloo", "a2c", "trpo", "npg")  # no ratio that would allow a second step
PAIRED = ("dpo", "rlhf")  # can learn from a file of pairs


def pick_algorithm(config: TrainConfig) -> type[Algorithm]:
    """The algorithm of a configuration.

    Raises UserError if there is none of that name, or for a setting that it would not read.
    """
    name = config.algorithm
    if name not in ALGORITHMS:
        raise UserError(f"unknown algorithm '{name}'{nearest(name, ALGORITHMS)}")
    algorithm = ALGORITHMS[name]
    for section in NOT_SHARED:
        mine, usual = getattr(config, section), type(getattr(config, section))()
        if section not in OWN_SECTIONS.get(name, ()) and mine != usual:
            raise UserError(f"[{section}] has no meaning for algorithm = '{name}'")
    grpo, usual_grpo = config.grpo, type(config.grpo)()
    for key in type(grpo).model_fields:
        if key not in ROLLOUT | algorithm.reads and getattr(grpo, key) != getattr(usual_grpo, key):
            raise UserError(f"grpo.{key} has no meaning for algorithm = '{name}'")
    if name in ONCE and (grpo.epochs > 1 or grpo.minibatches > 1):
        raise UserError(f"algorithm = '{name}' takes one step a rollout: epochs = minibatches = 1")
    if config.data.pairs and name not in PAIRED:
        raise UserError(f"data.pairs has no meaning for algorithm = '{name}'")
    if config.data.pairs and config.dpo.ranking > 2:
        raise UserError("data.pairs holds pairs: dpo.ranking must be 2")
    if name == "dpo" and config.dpo.ranking > grpo.completions:
        raise UserError("dpo.ranking is larger than grpo.completions")
    return algorithm


__all__ = ["ALGORITHMS", "Algorithm", "pick_algorithm"]

"""REINFORCE with a leave-one-out baseline, RLOO (Kool et al., 2019; Ahmadian et al., arXiv
2402.14740, eq. 9): from each reward the mean reward of the group's other completions is taken."""

from jaxtyping import Float
from torch import Tensor

from common.shapes import P_N
from train.advantages import signal_advantages
from train.algorithms.reinforce import Reinforce
from train.config.algorithm import SkipsTruncated
from train.rollout import Rollout


class RlooSettings(SkipsTruncated):
    one_step = True


class Rloo(Reinforce):
    """The mean reward of the others in the group as baseline."""

    Settings = RlooSettings
    only_mixed = True

    def advantages(self, rollout: Rollout) -> Float[Tensor, P_N]:
        return signal_advantages(rollout.shaped, rollout.signal, "none", "leave_one_out")

"""What a fine-tuning that is not done has learnt so far: a file beside the folder it will write."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError
from common.files import whole_file
from models.loading import fingerprint
from train.config import SftConfig

Log = list[dict[str, float]]


def state_file(out: str | Path) -> Path:
    """Where the state beside a folder lies; raises UserError if a folder lies there."""
    path = Path(out).with_name(f".{Path(out).name}.unfinished")
    if path.is_dir():
        raise UserError(f"{path} is a folder, and what is learnt so far would be written there")
    return path


class Unfinished:
    """Weights, optimisers, random state and metrics of a fine-tuning, in `.NAME.unfinished`."""

    def __init__(
        self,
        config: SftConfig,
        examples: Sequence[Any],
        weights: Sequence[torch.nn.Parameter],
        optimizers: Sequence[torch.optim.Optimizer],
    ):
        self.path = state_file(config.run.out)
        self._of = _digest(config, examples)
        self._weights, self._optimizers = weights, optimizers

    def load(self) -> Log:
        """Take up what a process with the same settings and data left; its metrics, else none."""
        if not self.path.is_file():
            return []
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception:  # torch names a dozen; a file that is not ours is as good as none
            state = {}
        if state.get("of") != self._of:
            print(f"{self.path} is of other settings or data, so fine-tuning begins anew")
            return []
        with torch.no_grad():
            for weight, saved in zip(self._weights, state["weights"], strict=True):
                weight.copy_(saved)
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available() and state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])
        log: Log = state["log"]
        print(f"resumed after step {len(log)} from {self.path}")
        return log

    def save(self, log: Log) -> None:
        """Write the state after `len(log)` steps; raises UserError if the disk is full."""
        state = {
            "of": self._of,
            "weights": [weight.detach() for weight in self._weights],
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "log": log,
        }
        with whole_file(self.path) as temporary:
            torch.save(state, temporary)

    def remove(self) -> None:
        """Forget the state, once the model or adapter is written."""
        self.path.unlink(missing_ok=True)


def _digest(config: SftConfig, examples: Sequence[Any]) -> str:
    """A hash of all that decides what is learnt: settings, base and data."""
    settings = config.model_dump(mode="json")
    del settings["run"]["save_every"]
    del settings["optimizer"]["tokens_per_pass"]  # what needs less memory may be tried
    base = fingerprint(config.model.path) if config.model.path else None
    return hashlib.sha256(json.dumps([settings, base, list(examples)]).encode()).hexdigest()

"""A word of advice where a run's memory does not suffice."""

import contextlib
from collections.abc import Iterator

from common.errors import UserError, first_line, out_of_memory
from train.config import TrainConfig
from train.folder import resume_command


@contextlib.contextmanager
def memory_advice(config: TrainConfig) -> Iterator[None]:
    """Running out of memory inside the block becomes a UserError that says what needs less."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        half = max(1, config.optimizer.pass_size() // 2)
        raise UserError(
            f"the memory does not suffice ({first_line(error)}). This takes less: a lower "
            f"optimizer.tokens_per_pass (it is {config.optimizer.pass_size()}), "
            "model.gradient_checkpointing, sampler.sleep with vLLM. For instance: "
            f"{resume_command(config)} --optimizer.tokens_per_pass {half}"
        ) from error

"""The vLLM sampler: an engine in this process, started once, the adapter served beside the base.

The adapter is never merged into the base weights. Each update is served under a new name and id,
so that no key or value cached for the old adapter is taken for the new one's.
"""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError, first_line
from models.loading import check_adapter, eos_ids, load_tokenizer, resolve_dtype
from sampling.completion import Completion, completion, is_cut_off
from sampling.params import SamplingParams
from sampling.sampler import Sampler
from sampling.seeds import engine_seed, prompt_keys
from sampling.vllm_options import NEUTRAL, allowed_rank, has_gpu, visible_devices
from sampling.vllm_process import engine_of_this_process


class VllmSampler(Sampler):
    """Samples with vLLM from a model folder or hub name."""

    backend = "vllm"

    def __init__(
        self,
        model: Any,
        *,
        adapter: Any = None,
        dtype: str = "auto",
        max_lora_rank: int = 64,
        devices: Sequence[int] | None = None,
        log: str | Path | None = None,
        **engine: Any,
    ):
        """`devices` are the GPUs of the engine, by number; none: those of this process.

        `engine` goes to `vllm.LLM` (gpu_memory_utilization, tensor_parallel_size, …).

        What vLLM prints while it starts goes to the file `log`, by default a temporary one.
        """
        self.name = str(model)
        self.tokenizer = load_tokenizer(model)
        self.log = Path(log or Path(tempfile.gettempdir()) / f"mathgrpo-vllm-{os.getpid()}.log")
        self._folder = Path(tempfile.mkdtemp(prefix="mathgrpo-adapter-"))
        self._ends = eos_ids(self.name, self.tokenizer)
        self._adapters, self._devices = 0, devices
        self._request: Any = None
        self._settings = {
            "model": self.name,
            "dtype": resolve_dtype(dtype),
            "seed": 0,
            "enable_lora": True,
            "max_lora_rank": allowed_rank(max_lora_rank),
            "logprobs_mode": "processed_logprobs",
            "generation_config": "vllm",  # no penalties of the checkpoint's
            "enable_sleep_mode": False,
            # Seeded requests cut into prefill chunks crash vLLM 0.32 on a CPU: it rewinds the
            # request's generator, which torch's CPU generators cannot.
            "enable_chunked_prefill": None if has_gpu() else False,
            **engine,
        }
        self._engine = self._start()
        self.context = self._engine.llm_engine.model_config.max_model_len
        if adapter is not None:
            self.update_adapter(adapter)

    def _start(self) -> Any:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_CONFIGURE_LOGGING", "0")
        logger = logging.getLogger("vllm")
        logger.propagate = False
        logger.addHandler(logging.FileHandler(self.log))
        try:
            with (
                _output_to(self.log),
                engine_of_this_process(),
                visible_devices(self._devices),
            ):
                from vllm import LLM

                return LLM(**self._settings)
        except Exception as error:  # vLLM raises many kinds
            raise UserError(
                f"vLLM could not start on {self.name}: {first_line(error)} (log: {self.log})"
            ) from error

    def update_adapter(self, adapter: Any) -> None:
        from vllm.lora.request import LoRARequest

        if adapter is None:
            self._request = None
            return
        self._adapters += 1
        if isinstance(adapter, str | Path):
            check_adapter(adapter, self.name)
            folder = Path(adapter).resolve()
        else:
            shutil.rmtree(self._folder / str(self._adapters - 2), ignore_errors=True)
            folder = self._folder / str(self._adapters)
            adapter.save_pretrained(folder)
        old = self._request
        self._request = LoRARequest(f"adapter-{self._adapters}", self._adapters, str(folder))
        try:
            with _output_to(self.log):
                self._engine.llm_engine.add_lora(self._request)
                if old is not None:
                    self._engine.llm_engine.remove_lora(old.lora_int_id)
        except Exception as error:
            raise UserError(
                f"{folder}: vLLM cannot serve this adapter on {self.name} ({first_line(error)})"
            ) from error

    def _sample(
        self, prompts: list[list[int]], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        from vllm import SamplingParams

        asked = [
            SamplingParams(
                n=n,
                temperature=params.temperature,
                max_tokens=min(params.max_tokens, self.context - len(prompt)),
                seed=engine_seed(key),
                top_p=params.top_p,
                top_k=params.top_k,
                min_p=params.min_p,
                stop=list(params.stop) or None,
                stop_token_ids=self._ends,
                detokenize=bool(params.stop),
                logprobs=0,  # of the sampled token alone
                **NEUTRAL,
            )
            for prompt, key in zip(prompts, prompt_keys(prompts, params.seed), strict=True)
        ]
        try:
            outputs = self._engine.generate(
                [{"prompt_token_ids": prompt} for prompt in prompts],
                asked,
                lora_request=self._request,
                use_tqdm=False,
            )
            return [
                [_completion(choice, self.tokenizer, params.stop) for choice in o.outputs]
                for o in outputs
            ]
        except Exception as error:  # a dead engine, out of memory, …
            raise UserError(
                f"vLLM failed while sampling ({first_line(error)}); see {self.log}"
            ) from error

    def sleep(self) -> None:
        """Give back the memory of weights and key/value cache (needs a GPU)."""
        if self._settings["enable_sleep_mode"]:
            self._engine.sleep(level=1)

    def wake(self) -> None:
        """Take the memory again."""
        if self._settings["enable_sleep_mode"]:
            import torch

            torch.cuda.empty_cache()  # what this process holds and does not use
            self._engine.wake_up()

    def close(self) -> None:
        with _output_to(self.log):
            # Killed at once: the engine lets SIGTERM pass, and waiting for it would be for nothing.
            self._engine.llm_engine.engine_core.shutdown(timeout=0)
        shutil.rmtree(self._folder, ignore_errors=True)


def _completion(choice: Any, tokenizer: Any, stop: Sequence[str]) -> Completion:
    ids = list(choice.token_ids)
    logprobs = [step[token].logprob for step, token in zip(choice.logprobs, ids, strict=True)]
    return completion(ids, logprobs, is_cut_off(choice.finish_reason), tokenizer, stop)


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send what this process and its children print meanwhile to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, handle in enumerate(kept, start=1):
            os.dup2(handle, number)
            os.close(handle)

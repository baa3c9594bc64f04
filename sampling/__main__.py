"""`python -m sampling serve MODEL`: a vLLM server for samplers on this or other machines."""

import os

from common.errors import OneLineParser, UserError, run_command
from sampling.model import load_tokenizer
from sampling.sampler import allowed_rank, default_dtype, has_vllm
from sampling.server import server_command, server_environment


def main(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m sampling", description=__doc__)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model", help="a model folder or hub name")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--max-lora-rank", type=int, default=64)
    parser.add_argument("--max-model-len", type=int, help="tokens of prompt and completion")
    parser.add_argument("--gpu-memory-utilization", type=float, help="share of the GPU's memory")
    parser.add_argument("--tensor-parallel-size", type=int, help="GPUs that share the model")
    parser.add_argument("--quantization", help="as vLLM names it")
    options = vars(parser.parse_args(argv))
    if not has_vllm():
        raise UserError("vLLM is not installed here; install the extra 'cpu' or 'gpu'")
    del options["command"]
    model = options.pop("model")
    load_tokenizer(model)  # a clear word about a wrong model, before vLLM starts
    options["dtype"] = default_dtype(options["dtype"])
    options["max_lora_rank"] = allowed_rank(options["max_lora_rank"])
    if options["dtype"] == "float32":
        options["enable_chunked_prefill"] = False  # see sampling/vllm_sampler.py
    command = server_command(model, **options)
    os.execve(command[0], command, server_environment())


if __name__ == "__main__":
    run_command(main)

"""The files for SLURM come to commands that exist: they are run with stand-ins for the cluster."""

import json
import subprocess
import sys

import pytest
from torch.distributed.run import get_args_parser

from sampling.__main__ import parser as serve_parser
from tests.fork_server import ROOT
from train.config import TrainConfig, load_config

FILES = sorted((ROOT / "examples" / "slurm").glob("*.sbatch"))
NODES = ("gpu1", "gpu2", "gpu3")
STAND_INS = {
    # srun: its own options aside, what it would start on a node
    "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"',
    "scontrol": "\n".join(f"echo {node}; /bin/sleep 0.1" for node in NODES),
    # every server is up once each has noted how it was started
    "curl": f"(( $(cat noted 2>/dev/null | wc -l) >= {len(NODES) - 1} ))",
    "sleep": "exec /bin/sleep 0.1",
    "mathgrpo": 'note "$0" "$@"\nexec /bin/sleep 30',
    "torchrun": 'note "$0" "$@"',
}


NOTE = "import json, sys; open(sys.argv[1], 'a').write(json.dumps(sys.argv[2:]) + chr(10))"


def run(file, tmp_path, *words):
    """What a file has the cluster start: lists of words, servers first."""
    noted = tmp_path / "noted"
    for name, does in STAND_INS.items():
        stand_in = tmp_path / name
        note = f'note() {{ {sys.executable} -c "{NOTE}" {noted} "$@"; }}'
        stand_in.write_text(f"#!/bin/bash\n{note}\n{does}\n")
        stand_in.chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:/usr/local/bin:/usr/bin:/bin", "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "gpu[1-3]", "SLURM_JOB_NUM_NODES": "2",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", file, *words], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    lines = noted.read_text().splitlines() if noted.exists() else []
    return done, sorted(json.loads(line) for line in lines)


def trained(words):
    """The torchrun options of a command, and the settings of the run that it starts."""
    options = get_args_parser().parse_args(words)
    assert options.module
    assert options.training_script == "train"
    path, *overrides = options.training_script_args
    return options, load_config(TrainConfig, path, overrides)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(
        f'[run]\ndir = "{tmp_path}/run"\nsteps = 2\n[model]\npath = "m"\n[data]\ntrain = "synth:train"\n'
    )
    return path


def test_there_is_a_file_for_each_way():
    assert [file.stem for file in FILES] == ["one_node", "samplers_apart", "two_nodes"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_sound_and_says_how_it_is_used(file, tmp_path):
    subprocess.run(["bash", "-n", file], check=True)
    done, started = run(file, tmp_path)
    assert done.returncode != 0
    assert f"usage: sbatch examples/slurm/{file.name}" in done.stderr
    assert started == []


def test_one_machine_has_a_process_on_each_gpu(config, tmp_path):
    words = [config, "--parallel.shard", "true"]
    done, [[_, *words]] = run(ROOT / "examples/slurm/one_node.sbatch", tmp_path, *words)
    assert done.returncode == 0, done.stderr
    options, settings = trained(words)
    assert (options.nproc_per_node, options.standalone) == ("8", True)
    assert settings.parallel.shard


def test_two_machines_meet_at_the_first(config, tmp_path):
    done, [[_, *words]] = run(ROOT / "examples/slurm/two_nodes.sbatch", tmp_path, config)
    assert done.returncode == 0, done.stderr
    options, _ = trained(words)
    assert (options.nnodes, options.nproc_per_node) == ("2", "8")
    assert (options.rdzv_backend, options.rdzv_endpoint) == ("c10d", "gpu1:29500")


def test_samplers_apart_serve_on_all_but_the_first_machine(config, tmp_path):
    words = ["a/model", config, "--rollout.ahead", "1"]
    done, started = run(ROOT / "examples/slurm/samplers_apart.sbatch", tmp_path, *words)
    assert done.returncode == 0, done.stderr
    *serving, [_, *words] = started
    assert len(serving) == 2
    for _, *served in serving:
        options = serve_parser().parse_args(served)
        assert (options.model, options.host, options.data_parallel_size) == (
            "a/model",
            "0.0.0.0",
            8,
        )
    options, settings = trained(words)
    assert options.nproc_per_node == "8"
    assert settings.sampling.backend == "vllm-server"
    assert settings.sampling.options == {"servers": ["http://gpu2:8000", "http://gpu3:8000"]}
    assert settings.rollout.ahead == 1

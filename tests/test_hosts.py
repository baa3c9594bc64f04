"""Two servers and a trainer on three hosts: network namespaces with addresses of their own.

No folder is shared but the base model's: what the trainer writes is hidden from the servers, and
each has a /dev/shm of its own. Needs root and iproute2.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas
import pytest
import tomli_w

from models.loading import load_adapter, load_model
from sampling import Completion
from sampling.vllm_options import has_vllm
from tests.conftest import run_settings
from tests.fork_server import ROOT
from tests.test_sampling import logprob_gap
from train.policy import Policy

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        not has_vllm() or os.getuid() != 0 or shutil.which("ip") is None,
        reason="needs vLLM, root and iproute2",
    ),
]

SERVERS = {"mg-server1": "10.77.0.11", "mg-server2": "10.77.0.12"}
HOSTS = {**SERVERS, "mg-trainer": "10.77.0.10"}
SWITCH = "mg-switch"
TOKEN = "the-token-of-three-hosts"
STEPS, PROMPTS, COMPLETIONS = 20, 16, 8


def ip(*words, check=True):
    subprocess.run(["ip", *words], check=check, capture_output=not check)


@pytest.fixture
def hosts():
    """Three network namespaces on a bridge in a fourth."""
    names = [SWITCH, *HOSTS]
    for name in names:
        ip("netns", "del", name, check=False)
        ip("netns", "add", name)
    ip("-n", SWITCH, "link", "add", "bridge", "type", "bridge")
    ip("-n", SWITCH, "link", "set", "bridge", "up")
    for name, address in HOSTS.items():
        ip("-n", SWITCH, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("-n", SWITCH, "link", "set", name, "master", "bridge", "up")
        ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
    yield
    for name in names:
        ip("netns", "del", name)


def on_host(name, words, log, hidden, token=TOKEN):
    """A process on a host: its own network, its own /dev/shm, and nothing in the folder `hidden`."""
    mounts = f"mount -t tmpfs tmpfs /dev/shm && mount -t tmpfs tmpfs {hidden} && exec "
    command = mounts + " ".join(map(str, words))
    env = {
        **os.environ, "MATHGRPO_TOKEN": token, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT), **({} if name in SERVERS else {"TMPDIR": "/dev/shm"}),
    }  # fmt: skip
    with open(log, "ab") as out:
        return subprocess.Popen(
            ["ip", "netns", "exec", name, "sh", "-c", command],
            env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def wait_for(condition, process, seconds=900):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, "the process has ended"
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


@pytest.fixture
def servers(hosts, base, tmp_path):
    """The two servers, each with its log; they take adapters of up to 1 MiB."""
    running = {}
    (tmp_path / "trainer").mkdir()
    for name, address in SERVERS.items():
        (tmp_path / name).mkdir()
        words = [
            sys.executable, "-m", "sampling", "serve", base, "--host", address, "--max-lora-rank",
            "64", "--max-model-len", "256", "--adapter-limit", "1", "--enforce-eager",
        ]  # fmt: skip
        log = tmp_path / name / "server.log"
        running[name] = (on_host(name, words, log, tmp_path / "trainer"), log)
    for process, log in running.values():
        wait_for(lambda log=log: "Application startup complete" in log.read_text(), process)
    yield running
    for process, _ in running.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def train(tmp_path, base, name, token=TOKEN, **lora):
    """A trainer on the third host; its process, its run's folder and its log."""
    folder = tmp_path / "trainer" / name
    urls = [f"http://{address}:8000" for address in SERVERS.values()]
    settings = run_settings(
        folder, base,
        run={"steps": STEPS, "save_every": 1, "keep_last": STEPS, "save_rollouts": True},
        sampling={"backend": "vllm-server", "max_tokens": 48,
                  "options": {"servers": urls, "patience": 4.0}},
        rollout={"prompts": PROMPTS, "completions": COMPLETIONS},
        lora=lora,
    )  # fmt: skip
    config = tmp_path / "trainer" / f"{name}.toml"
    config.write_text(tomli_w.dumps(settings))
    log = tmp_path / "trainer" / f"{name}.log"
    words = [sys.executable, "-m", "train", config]
    return on_host("mg-trainer", words, log, tmp_path / "mg-server1", token), folder, log


def test_two_servers_and_a_trainer_without_a_shared_disk(servers, base, tmp_path):
    for name, changes, said in [
        ("stranger", {"token": "wrong"}, "MATHGRPO_TOKEN"),
        ("large", {"rank": 64}, "--adapter-limit"),
    ]:
        process, _, log = train(tmp_path, base, name, **changes)
        assert process.wait(600) == 2
        assert said in log.read_text().splitlines()[-1]

    begun = time.monotonic()
    process, folder, log = train(tmp_path, base, "run")
    measured = {}

    def steps():
        path = folder / "metrics.jsonl"
        return path.read_text().count("\n") if path.exists() else 0

    def cut_off(name, after, cut, mend):
        """Cut a server off in the middle of a step, and let it come back two steps later."""
        wait_for(lambda: steps() >= after, process)
        server_log = servers[name][1]
        answered = server_log.read_text().count("POST /v1/completions")
        wait_for(
            lambda: server_log.read_text().count("POST /v1/completions") > answered, process
        )  # some of the step's prompts are answered, others are not
        said = len(log.read_text())
        cut()
        at = time.monotonic()
        wait_for(lambda: "going on with 1 other" in log.read_text()[said:], process)
        measured[f"{name} left out after s"] = round(time.monotonic() - at, 1)
        left_out_in = steps()
        wait_for(lambda: steps() >= left_out_in + 2, process)
        mend()
        at = time.monotonic()
        wait_for(lambda: f"{SERVERS[name]}:8000 is back" in log.read_text()[said:], process)
        measured[f"{name} back after s"] = round(time.monotonic() - at, 1)
        measured[f"{name} steps without"] = steps() - left_out_in
        answered = server_log.read_text().count("POST /v1/completions")
        wait_for(lambda: server_log.read_text().count("POST /v1/completions") > answered, process)

    two, one = "mg-server2", servers["mg-server1"][0].pid
    cut_off(
        two,
        3,
        lambda: ip("-n", two, "link", "set", "eth0", "down"),
        lambda: ip("-n", two, "link", "set", "eth0", "up"),
    )
    cut_off(
        "mg-server1",
        steps() + 1,
        lambda: os.killpg(one, signal.SIGSTOP),
        lambda: os.killpg(one, signal.SIGCONT),
    )
    assert process.wait(1800) == 0, log.read_text()[-2000:]
    measured["seconds"] = round(time.monotonic() - begun)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    gaps = [gap_of_step(folder, base, step) for step in range(1, STEPS + 1)]
    measured["largest gap of a log-prob"] = max(gaps)
    measured["sampling s a step"] = sorted(line["time/sample_s"] for line in lines)
    print(json.dumps(measured))
    assert max(gaps) < 1e-4
    for server, server_log in servers.values():
        assert server.poll() is None
        uploads = re.findall(r"PUT /adapters/([\w-]+)/adapter_model", server_log.read_text())
        removed = re.findall(r"DELETE /adapters/([\w-]+)", server_log.read_text())
        assert len(set(uploads)) >= STEPS - measured_absence(measured) - 2
        assert set(uploads) <= set(removed)


def measured_absence(measured):
    return max(v for k, v in measured.items() if k.endswith("steps without"))


def gap_of_step(folder: Path, base: Path, step: int) -> float:
    """The largest difference between the rollout's log-probs and those of the adapter before."""
    rows = pandas.read_parquet(folder / "rollouts" / f"step_{step:06d}.parquet")
    assert len(rows) == PROMPTS * COMPLETIONS
    assert set(rows["policy_step"]) == {step - 1}
    prompts = [list(map(int, ids)) for ids in rows["prompt_ids"][::COMPLETIONS]]
    groups = []
    for at in range(0, len(rows), COMPLETIONS):
        part = rows.iloc[at : at + COMPLETIONS]
        assert len({tuple(ids) for ids in part["prompt_ids"]}) == 1
        groups.append(
            [
                Completion("", list(map(int, ids)), list(map(float, logprobs)), "stop")
                for ids, logprobs in zip(part["token_ids"], part["logprobs"], strict=True)
            ]
        )
    model = load_model(base)
    if step > 1:  # before the first step the adapter changes nothing
        adapter = folder / "checkpoints" / f"step_{step - 1:06d}"
        model = load_adapter(model, adapter, str(base))
    return logprob_gap(Policy(model, 1.0), prompts, groups)

"""Export: one model of base and adapter, that answers as they did and loads without us."""

import base64
import hashlib
import json
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from common.errors import UserError
from sampling import SamplingParams, load_sampler
from sampling.vllm_options import has_vllm
from tests.conftest import config_of
from train.export import main
from train.run import Run, train

QUESTIONS = ["Tom has 3 eggs and buys 5. How many eggs has he?", "What is 12 - 7?", "9*4?"]
ALONE = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, prompts = sys.argv[1], json.loads(sys.argv[2])
tokenizer, model = (kind.from_pretrained(folder) for kind in (AutoTokenizer, AutoModelForCausalLM))
found = []
for prompt in prompts:
    inputs = tokenizer(prompt, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=24, do_sample=False)
    found.append(out[0, inputs["input_ids"].shape[1]:].tolist())
ours = [name for name in ("train", "rewards", "peft", "models.loading") if name in sys.modules]
print(json.dumps([found, ours]))
"""


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory) -> Path:
    """The checkpoint of a run that moved the base far, with evaluations."""
    config = config_of(
        tmp_path_factory.mktemp("runs") / "moved",
        base,
        run={"steps": 4, "save_every": 4},
        optimizer={"lr": 2e-2},
        eval={"data": "synth:heldout,n=20,levels=1", "every": 4, "n": 2},
    )
    train(Run(config))
    return Path(config.run.dir) / "checkpoints" / "step_000004"


@pytest.fixture(scope="module")
def exported(adapter, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "model"
    main([str(adapter), "--out", str(out)])
    return out


def prompts() -> list[str]:
    return [f"Question: {question}\nAnswer:" for question in QUESTIONS]


@torch.no_grad()
def greedy(model, tokenizer) -> list[list[int]]:
    found = []
    for prompt in prompts():
        inputs = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**inputs, max_new_tokens=24, do_sample=False)
        found.append(out[0, inputs["input_ids"].shape[1] :].tolist())
    return found


def test_the_exported_model_answers_as_base_and_adapter_with_nothing_of_ours(
    base, adapter, exported, tmp_path
):
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base)
    untrained = greedy(plain, tokenizer)
    both = greedy(PeftModel.from_pretrained(plain, adapter), tokenizer)
    assert both != untrained
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(exported), json.dumps(prompts())],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [both, []]


@pytest.mark.long
@pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform")
@pytest.mark.timeout(900)
def test_vllm_writes_the_same_from_the_exported_model(base, adapter, exported, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(base)
    both = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    options = {"dtype": "float32", "log": tmp_path / "vllm.log"}
    with load_sampler("vllm", exported, **options) as sampler:
        params = SamplingParams(temperature=0.0, max_tokens=24)
        ids = [tokenizer(prompt)["input_ids"] for prompt in prompts()]
        found = [group[0].token_ids for group in sampler.sample(ids, 1, params)]
    assert found == greedy(both, tokenizer)


def test_the_weights_are_written_in_the_dtype_asked_for(adapter, tmp_path):
    main([str(adapter), "--out", str(tmp_path / "half"), "--dtype", "bfloat16"])
    weights = load_file(tmp_path / "half" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "half").dtype == torch.bfloat16


def test_the_card_says_what_was_trained_on_what_and_what_came_of_it(base, adapter, exported):
    card = (exported / "README.md").read_text()
    head = ModelCard(card).data.to_dict()
    assert head["library_name"] == "transformers"
    assert "grpo" in head["tags"]
    for said in ("synth:train,n=200", "rank = 8", "lr = 0.02", "pass@1", "before", "20 problems"):
        assert said in card
    run = adapter.parent.parent
    for name in ("base", "step_000004"):
        [results] = (run / "eval").glob(f"*/{name}/results.json")
        found = json.loads(results.read_text())["pass_at_k"]["1"]
        assert f"{found['mean']:.3f} [{found['ci_low']:.3f}, {found['ci_high']:.3f}]" in card
    code = card.split("```python\n")[1].split("```")[0]
    names: dict = {"print": lambda text: shown.append(text)}
    shown: list[str] = []
    exec(code, names)  # the example of the card runs as it stands
    assert shown


def test_a_checkpoint_carries_a_card_that_peft_and_the_hub_understand(base, adapter):
    head = ModelCard.load(adapter / "README.md").data.to_dict()
    assert head["base_model"] == str(base)
    assert head["library_name"] == "peft"
    assert {"lora", "grpo", f"base_model:adapter:{base}"} <= set(head["tags"])
    assert "lr = 0.02" in (adapter / "README.md").read_text()


def test_what_is_wrong_is_said_before_anything_is_loaded_and_nothing_is_written(
    base, adapter, tmp_path, monkeypatch
):
    monkeypatch.setattr("train.merged.AutoModelForCausalLM", None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    cases = [
        ([str(tmp_path), "--out", str(tmp_path / "o")], "not an adapter folder"),
        ([str(adapter), "--out", str(tmp_path / "mine")], "thesis.tex"),
        ([str(adapter), "--out", str(tmp_path / "o"), "--base", str(tmp_path)], "another base"),
        ([str(adapter), "--out", str(tmp_path / "o"), "--push", "a/b/c"], "OWNER/NAME"),
        ([str(adapter), "--out", str(tmp_path / "o"), "--results", "x", "y"], "no evaluation"),
    ]
    for words, said in cases:
        with pytest.raises(UserError, match=said):
            main(words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as an upload asks for; keeps what it is sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer({"id": "me/moved", "sha": "0" * 40, "siblings": []})

    def do_PUT(self):
        body = self._body()
        self.server.blobs[hashlib.sha256(body).hexdigest()] = body
        self._answer({})

    def do_POST(self):
        body, path = self._body(), self.path.partition("?")[0]
        self.server.asked.append((path, self.headers.get("Authorization")))
        where = f"http://127.0.0.1:{self.server.server_port}"
        if path == "/api/repos/create":
            self.server.created = json.loads(body)
            self._answer({"url": f"{where}/me/moved"})
        elif path.endswith("/preupload/main"):
            files = [
                {"path": f["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular"}
                for f in json.loads(body)["files"]
            ]  # fmt: skip
            self._answer({"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            upload = {"upload": {"href": f"{where}/blob"}}
            objects = [{**o, "actions": upload} for o in json.loads(body)["objects"]]
            self._answer({"transfer": "basic", "objects": objects}, "application/vnd.git-lfs+json")
        elif "/commit/" in path:
            self.server.commit = [json.loads(line) for line in body.splitlines()]
            url = f"{where}/me/moved/commit/{'0' * 40}"
            self._answer(
                {"success": True, "commitOid": "0" * 40, "commitUrl": url, "hookOutput": ""}
            )
        else:  # validate-yaml
            self._answer({"errors": [], "warnings": []})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, what, kind: str = "application/json") -> None:
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.blobs, server.asked, server.commit, server.created = {}, [], [], None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_push_creates_the_repository_and_sends_every_file_as_one_commit(
    adapter, tmp_path, hub, monkeypatch, capsys
):
    where = f"http://127.0.0.1:{hub.server_port}"
    api = partial(HfApi, endpoint=where, token="hf_of_the_test")
    monkeypatch.setattr("train.merged.HfApi", api)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    out = tmp_path / "model"
    main([str(adapter), "--out", str(out), "--push", "me/moved", "--private"])
    assert f"{where}/me/moved" in capsys.readouterr().out
    assert hub.created["name"] == "moved"
    assert hub.created["organization"] == "me"
    assert hub.created["visibility"] == "private"
    assert {token for _, token in hub.asked if token} == {"Bearer hf_of_the_test"}
    sent = {}
    for line in hub.commit:
        if line["key"] == "file":
            sent[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        elif line["key"] == "lfsFile":
            sent[line["value"]["path"]] = hub.blobs[line["value"]["oid"]]
    assert sent == {file.name: file.read_bytes() for file in out.iterdir()}
    assert b"me/moved" in sent["README.md"]


def test_a_hub_that_does_not_answer_is_one_line_before_the_work(adapter, tmp_path, monkeypatch):
    monkeypatch.setattr("train.merged.AutoModelForCausalLM", None)
    monkeypatch.setattr("train.merged.HfApi", partial(HfApi, endpoint="http://127.0.0.1:9"))
    with pytest.raises(UserError, match="--push me/moved: the hub does not let us"):
        main([str(adapter), "--out", str(tmp_path / "m"), "--push", "me/moved"])
    assert not (tmp_path / "m").exists()

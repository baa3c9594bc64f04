"""The configurations that come with mathgrpo: each is accepted, and says what memory it takes."""

import re
import shutil

import pytest
from transformers import Qwen2Config, Qwen3Config

from tests.fork_server import ROOT
from train.config import TrainConfig, load_config
from train.plan import estimate, show_plan

SHAPES = {  # width, inner width, layers, heads, key/value heads, vocabulary, tied
    "Qwen2.5-0.5B": (896, 4864, 24, 14, 2, 151936, True),
    "Qwen2.5-1.5B": (1536, 8960, 28, 12, 2, 151936, True),
    "Qwen2.5-3B": (2048, 11008, 36, 16, 2, 151936, True),
    "Qwen2.5-7B": (3584, 18944, 28, 28, 4, 152064, False),
    "Qwen3-0.6B": (1024, 3072, 28, 16, 8, 151936, True),
    "Qwen3-1.7B": (2048, 6144, 28, 16, 8, 151936, True),
    "Qwen3-4B": (2560, 9728, 36, 32, 8, 151936, True),
}
FILES = sorted((ROOT / "configs").glob("*.toml"))


@pytest.fixture
def here(base, tmp_path):
    """A folder with the shape of a model of the hub, and the tests' tokenizer."""

    def made(path: str):
        name = path.split("/")[1].removesuffix("-Instruct")
        width, inner, layers, heads, kv, vocabulary, tied = SHAPES[name]
        kind = Qwen3Config if name.startswith("Qwen3") else Qwen2Config
        head = {"head_dim": 128} if name.startswith("Qwen3") else {}
        kind(
            hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=kv, vocab_size=vocabulary,
            tie_word_embeddings=tied, max_position_embeddings=32768, **head,
        ).save_pretrained(tmp_path)  # fmt: skip
        for file in base.glob("*token*"):
            shutil.copy(file, tmp_path)
        return tmp_path

    return made


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dry_run_of_each_file_needs_the_memory_that_the_file_says(file, here, capsys, tmp_path):
    told = re.search(r"estimated \(--dry-run\): ([\d.]+) GiB", file.read_text())
    assert told, "the file says no memory"
    folder = here(load_config(TrainConfig, file, []).model.path)
    words = ["--model.path", str(folder), "--run.dir", str(tmp_path / "run")]
    words += ["--data.train", "synth:train,n=50", "--eval.data", "synth:heldout,n=10"]
    words += ["--prompt.template", "plain", "--prompt.chat_template_kwargs", "{}"]
    config = load_config(TrainConfig, file, words)
    assert estimate(config, 512).total / 2**30 == pytest.approx(float(told[1]), rel=0.03)
    show_plan(config)
    assert "estimated memory" in capsys.readouterr().out

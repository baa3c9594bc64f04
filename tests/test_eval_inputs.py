"""What an evaluation or comparison cannot do is said in one line, before anything heavy starts."""

import json

import pytest

from common.errors import UserError
from common.files import Contents, whole_folder
from eval.compare import compare
from tests.fork_server import command
from tests.test_evaluation import result

KEYS = (
    "template system shots chat_template_kwargs n_samples temperature max_tokens top_p top_k min_p stop"
).split()
FOLDER = Contents("a test", marks=("results.json", "samples.parquet"), others=("*.html",))


@pytest.mark.parametrize("key", KEYS)
def test_results_that_differ_in_one_setting_or_lack_it_are_not_compared(key):
    same = {"template": "chat", "system": "s", "shots": 0, "chat_template_kwargs": {}, "top_p": 1.0}
    same |= {"temperature": 1.0, "max_tokens": 64, "top_k": 0, "min_p": 0.0, "stop": []}
    a, b = result([[1], [0]], **same), result([[1], [1]], **same)
    assert compare(a, b).difference[1].mean == 0.5
    b[0][key] = "other"
    with pytest.raises(UserError, match=f"{key} was"):
        compare(a, b)
    del b[0][key]
    with pytest.raises(UserError, match=f"{key} was .* not recorded"):
        compare(a, b)


def test_two_results_on_one_problem_are_refused_in_words():
    with pytest.raises(UserError, match="one problem only"):
        compare(result([[1]]), result([[0]]))


def test_mcnemar_is_named_only_for_one_sample_each():
    a, b = result([[1, 1], [0, 0], [0, 0]]), result([[1, 1], [1, 1], [0, 0]])
    assert compare(a, b).details[1].test == "sign flips"
    a, b = result([[1], [0], [0]]), result([[1], [1], [0]])
    assert compare(a, b).details[1].test.startswith("McNemar")


def test_a_folder_is_replaced_only_where_the_same_command_wrote_all_of_it(tmp_path):
    def write(text):
        with whole_folder(tmp_path / "out", FOLDER) as folder:
            for name in FOLDER.marks:
                (folder / name).write_text(text)

    (tmp_path / "out").mkdir()
    write("first")
    (tmp_path / "out" / "report.html").write_text("")
    write("second")
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == list(FOLDER.marks)
    for foreign in ("model.safetensors", "checkpoints/"):
        path = tmp_path / "out" / foreign
        path.mkdir() if foreign.endswith("/") else path.write_text("weights")
        with pytest.raises(UserError, match=foreign.strip("/")):
            write("third")
        assert (tmp_path / "out" / "results.json").read_text() == "second"
        path.rmdir() if foreign.endswith("/") else path.unlink()
    (tmp_path / "out" / "samples.parquet").unlink()  # a results.json alone may be anybody's
    with pytest.raises(UserError, match=r"results\.json"):
        write("third")
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".")]


SET = ("--data", "synth:heldout,n=3")
BAD = [  # words beside --model and --out, what the line says
    ((*SET, "--n", "0"), "--n must be at least 1"),
    ((*SET, "--n", "2", "--k", "4"), "n is 2"),
    ((*SET, "--k", "0"), "k must be at least 1"),
    ((*SET, "--k", "one"), "--k takes numbers"),
    ((*SET, "--temperature", "-1"), "temperature"),
    ((*SET, "--temperature", "nan"), "temperature"),
    ((*SET, "--max-tokens", "0"), "max_tokens"),
    ((*SET, "--top-p", "0"), "top_p"),
    ((*SET, "--min-p", "1"), "min_p"),
    ((*SET, "--stop", ""), "stop"),
    ((*SET, "--shots", "9"), "8 worked examples"),
    ((*SET, "--limit", "0"), "at least 1"),
    ((*SET, "--options", "max_batch"), "KEY=VALUE"),
    ((*SET, "--options", "model=x"), "cannot set model"),
    ((*SET, "--chat-template-kwargs", "x"), "KEY=VALUE"),
    ((*SET, "--adapter", "nowhere"), "not an adapter folder"),
    ((*SET, "--adapter", "base", "base"), "--adapter names base twice"),
    ((*SET, *SET[1:]), "twice"),
    ((*SET, "--fields", "answer=x"), "no fields"),
    ((*SET, "--dtype", "float8"), "--dtype"),
    (("--data", "synth:heldout,m=3"), "unknown option 'm'"),
    (("--data", "nowhere.csv"), "no such file"),
]


@pytest.mark.parametrize(("words", "says"), BAD, ids=[" ".join(w[2:] or w) for w, _ in BAD])
def test_a_bad_option_is_one_clear_line(words, says, tmp_path):
    done = command("eval", "--model", tmp_path / "none", *words, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_out_deletes_nothing_that_an_evaluation_did_not_write(tmp_path):
    model = tmp_path / "base"
    model.mkdir()
    (model / "model.safetensors").write_text("weights")
    (model / "results.json").write_text("{}")
    done = command("eval", "--model", model, *SET, "--out", model)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "model.safetensors" in done.stderr
    assert sorted(f.name for f in model.iterdir()) == ["model.safetensors", "results.json"]


@pytest.mark.parametrize(
    ("words", "says"),
    [(("nowhere", "nowhere"), "no evaluation result"), (("bad", "bad"), "is missing"), (("bad", "bad", "--plot", "x.docx"), "--plot")],
)  # fmt: skip
def test_a_comparison_of_what_is_no_result_is_one_clear_line(words, says, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "results.json").write_text(json.dumps([1]))
    result([[1], [0]])[1].to_parquet(tmp_path / "bad" / "samples.parquet")
    done = command(
        "eval", "compare", *(tmp_path / w if w in ("bad", "nowhere") else w for w in words)
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert says in done.stderr

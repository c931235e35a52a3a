"""The command line as a person meets it first: quick, and clear about mistakes."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kolossos.cli.main import main
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare


@dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Result]


@pytest.fixture
def kolossos(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command in this process: what it prints, and its exit code."""

    def run(*arguments: str, cwd: Path) -> Result:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["kolossos", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Result(int(end.value.code or 0), *capfd.readouterr())

    return run


@pytest.mark.parametrize("arguments", [["-c", "import kolossos"], ["-m", "kolossos", "--help"]])
def test_import_and_help_load_no_torch(arguments: list[str]) -> None:
    modules = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True
    )
    assert "torch" not in modules.stderr


RUN = """
name = "bad"
[model]
spec = "grok-nano"
[data]
path = "prepared"
[schedule]
steps = 5
"""

MISTAKES = [
    (["--set", "optimizer.lrr=1"], "unknown key 'optimizer.lrr'; did you mean 'lr'?"),
    (["--set", "model.moe.top_k=9"], "top_k = 9 selects more experts than n_experts = 8"),
    (["--set", "layout.seq_len=4096"], "layout.seq_len = 4096 exceeds the model's max_seq_len = 2048"),
    (["--set", "model.spec=grok-nono"], "unknown model 'grok-nono'; did you mean 'grok-nano' or 'grok-mini'?"),
    (["--set", "layout.tp=2"], "needs 2 ranks and this is one process"),
    (["--set", "layout.precision=fp8"], "'fp8' is not available for training yet"),
    (["--set", "model.vocab_size=300"], "prepared has 400 tokens, the model only vocab_size = 300"),
    (["--set", "data.path=nowhere"], "nowhere"),
    (["--minutes", "-1"], "--minutes -1.0: expected a number above 0"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "run.toml").write_text(RUN)
    text = "\n\n".join(f"def function_{i}(x):\n    return x + {i}" for i in range(400))
    for i in range(12):
        (folder / f"file_{i}.py").write_text(f"# {i}\n" + text.replace("function", f"function_{i}"))
    options = PrepareOptions(vocab_size=400, near_threshold=None, val_fraction=0.2)
    prepare([str(folder)], folder / "prepared", options, workers=1)
    return folder


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_line_and_exit_code_2_and_writes_nothing(
    arguments: list[str], message: str, place: Path, kolossos: Command
) -> None:
    result = kolossos("train", "run.toml", *arguments, cwd=place)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "none.toml"],
        ["eval", "none"],
        ["chat", "none"],
        ["complete", "none", "x"],
        ["export", "none", "--to", "hf", "--out", "o"],
    ],
    ids=lambda a: a[0],
)
def test_what_does_not_exist_is_named(arguments: list[str], tmp_path: Path, kolossos: Command) -> None:
    result = kolossos(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "none" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_eval_refuses_data_of_another_tokenizer(place: Path, kolossos: Command) -> None:
    other = place.parent / "other"
    arguments = ["data", "prepare", ".", "--vocab-size", "380", "--workers", "1", "--no-near-dedup"]
    assert kolossos(*arguments, "--out", str(other), cwd=place).returncode == 0
    small = [
        "model.n_layers=1",
        "model.dim=32",
        "model.vocab_size=400",
        "model.moe.expert_dim=16",
        "compute.compile=off",
    ]
    sets = [part for value in small for part in ("--set", value)]
    trained = kolossos("train", "run.toml", "--run", "trained", *sets, cwd=place)
    assert trained.returncode == 0, trained.stderr
    result = kolossos("eval", "trained", "--data", str(other), cwd=place)
    assert result.returncode == 2
    assert "the tokenizer does not match the data" in result.stderr
    scored = kolossos("eval", "trained", cwd=place)
    assert scored.returncode == 0, scored.stderr
    assert "bits/byte: gzip -9 on the same bytes" in scored.stdout

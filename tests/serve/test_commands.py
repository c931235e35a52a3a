"""`kolossos complete`, `chat` and `export` as a person runs them, on a real run folder and on an exported one."""

import hashlib
import itertools
import json
import shutil
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from kolossos.cli.chat import chat
from kolossos.cli.complete import complete
from kolossos.cli.export import export
from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.runs.folder import RunFolder
from kolossos.serve import complete as completing
from kolossos.serve.load import load_for_generation
from kolossos.serve.options import GenerationOptions
from kolossos.serve.terminal import BASE_MODEL
from kolossos.specs.run import RunSpec
from kolossos.train.start import checkpoints_of

app = typer.Typer()
for command in (complete, chat, export):
    app.command()(command)


@pytest.fixture(scope="module")
def run(model: Decoder, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    tokenizer.save(folder / "tokenizer.json")
    values = {"name": "small", "model": model.spec, "data": {"path": "data"}, "schedule": {"steps": 7}}
    spec = RunSpec.model_validate(values | {"layout": {"seq_len": 64}})
    made = RunFolder.create(folder / "run", spec, folder / "tokenizer.json")
    checkpoints = checkpoints_of(made)
    for step, factor in ((3, 0.5), (7, 1.0)):
        state = {f"model.{name}": tensor * factor for name, tensor in model.state_dict().items()}
        checkpoints.save(step, state, wait=True)
    return made.path


def command_line(*arguments: object, stdin: str | bytes = "") -> tuple[str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_run_folder_gives_the_newest_weights_or_those_of_a_step(run: Path, model: Decoder) -> None:
    newest, tokenizer = load_for_generation(run)
    assert all(torch.equal(newest.get_parameter(n), p) for n, p in model.named_parameters())
    older, _ = load_for_generation(run, step=3)
    assert torch.equal(older.norm.weight, model.norm.weight * 0.5)
    assert tokenizer.eos_id == 0
    with pytest.raises(InputError, match="no checkpoint of step 4"):
        load_for_generation(run, step=4)


def test_exported_run_completes_as_the_run_does(run: Path, tmp_path: Path) -> None:
    stdout, stderr = command_line("export", run, "--to", "hf", "--out", tmp_path / "hf", "--dtype", "float32")
    assert stdout == ""
    assert "ready" in stderr
    arguments = ["the quick", "--json", "--max-tokens", 10, "--seed", 4]
    first, second = (json.loads(command_line("complete", f, *arguments)[0]) for f in (run, tmp_path / "hf"))
    assert first["completions"] == second["completions"]
    with pytest.raises(InputError, match="step 3 says nothing"):
        command_line("complete", tmp_path / "hf", "x", "--step", 3)
    with pytest.raises(InputError, match="exists already"):
        command_line("export", run, "--out", tmp_path / "hf")


def test_json_is_alone_on_stdout_and_counts(run: Path) -> None:
    stdout, _ = command_line("complete", run, "the fox", "dog", "--n", 3, "--max-tokens", 5, "--json")
    made = json.loads(stdout)
    assert [(c["prompt"], c["sample"]) for c in made["completions"]] == [(p, s) for p in (0, 1) for s in (0, 1, 2)]
    assert made["new_tokens"] == sum(len(c["tokens"]) for c in made["completions"])
    assert made["tokens_per_s"] == pytest.approx(made["new_tokens"] / made["seconds"], rel=0.01)
    assert {c["finish"] for c in made["completions"]} <= {"max tokens", "end token"}


def test_plain_output_is_prompt_and_continuation(run: Path) -> None:
    plain, _ = command_line("complete", run, "the fox", "--max-tokens", 6)
    as_json, _ = command_line("complete", run, "the fox", "--max-tokens", 6, "--json")
    assert plain == "the fox" + json.loads(as_json)["completions"][0]["text"] + "\n"


def test_a_dash_reads_stdin_whatever_its_bytes(run: Path) -> None:
    by_argument, _ = command_line("complete", run, "the\nfox", "--max-tokens", 6)
    by_stdin, _ = command_line("complete", run, "-", "--max-tokens", 6, stdin="the\nfox")
    assert by_argument == by_stdin
    out, _ = command_line("complete", run, "-", "--max-tokens", 2, stdin=b"\xff\xfe")
    assert out.startswith("\N{REPLACEMENT CHARACTER}" * 2)


def test_samples_are_headed_where_there_are_several(run: Path) -> None:
    stdout, _ = command_line("complete", run, "the fox", "--n", 2, "--max-tokens", 4)
    assert stdout.startswith("--- prompt 1, sample 1\nthe fox")
    assert "\n--- prompt 1, sample 2\nthe fox" in stdout


def test_batches_do_not_change_the_answers(
    model: Decoder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = GenerationOptions(max_new_tokens=6)
    whole = completing.complete(model, tokenizer, ["the fox", "dog", "a"], options, n_samples=3)
    monkeypatch.setattr(completing, "BATCH", 2)
    assert completing.complete(model, tokenizer, ["the fox", "dog", "a"], options, 3).completions == whole.completions


def test_chat_without_a_terminal_answers_every_line(run: Path) -> None:
    stdout, stderr = command_line("chat", run, "--max-tokens", 4, stdin="the fox\nthe dog\n")
    assert BASE_MODEL in stderr.splitlines()
    assert "below about 20 expect little sense" in stderr
    assert stdout.count("\n") >= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature", -1], "temperature"),
        (["--top-p", 0], "top-p"),
        (["--stop", ""], "stop"),
        (["--max-tokens", 0], "max-tokens"),
    ],
)
def test_options_out_of_range_are_input_errors(run: Path, arguments: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        command_line("complete", run, "x", *arguments)


def test_a_folder_that_is_neither_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither a run folder \(no run.toml\) nor a Hugging Face one"):
        load_for_generation(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        load_for_generation(tmp_path / "nowhere")


def test_a_tokenizer_larger_than_the_model_is_refused(run: Path, tmp_path: Path) -> None:
    command_line("export", run, "--out", tmp_path / "hf")
    words = (hashlib.sha256(bytes([n])).hexdigest() for n in range(200))
    Tokenizer.train([f"{a} {b}" for a, b in itertools.pairwise(words)] * 3, vocab_size=400).save(tmp_path / "hf")
    with pytest.raises(InputError, match="do not belong together"):
        load_for_generation(tmp_path / "hf")


def test_a_damaged_newest_checkpoint_is_reported(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    weights = next((copy / "checkpoints/step-00000007").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    stdout, stderr = command_line("complete", copy, "the fox", "--max-tokens", 3)
    assert "step-00000007 is damaged" in stderr
    assert stdout.startswith("the fox")

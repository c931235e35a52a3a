"""A damaged, foreign or mismatched folder is refused by name."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kolossos.cli.data import app
from kolossos.data.corpus.corpus import Corpus
from kolossos.data.corpus.manifest import Manifest
from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError


@pytest.fixture
def copy(corpus: Corpus, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus.folder, tmp_path / "copy"))


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_whole_folder_is_verified(copy: Path) -> None:
    assert Corpus.open(copy).verify() is None


@pytest.mark.parametrize(
    "name",
    [
        "train-00000.bin",
        "train-00001.idx.npy",
        "validation-00000.bin",
        "tokenizer.json",
        "validation.txt",
        "documents-train-00000.parquet",
    ],
)
def test_one_flipped_bit_is_found_and_its_file_named(copy: Path, name: str) -> None:
    _flip_a_bit(copy / name)
    with pytest.raises(InputError, match=f"{name} is damaged"):
        Corpus.open(copy).verify()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "is no prepared data"),
        (lambda folder: (folder / "manifest.json").write_text('{"format_version": 1'), "manifest.json is damaged"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json is damaged: .*Field required"),
        (lambda folder: (folder / "train-00001.bin").unlink(), "train-00001.bin or its index is missing"),
        (lambda folder: (folder / "train-00000.bin").write_bytes(b"cut"), "train-00000.bin is damaged: 3 bytes, not"),
    ],
)
def test_damaged_folder_does_not_open(copy: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(copy)
    with pytest.raises(InputError, match=message):
        Corpus.open(copy)


def test_tokenizer_of_other_data_is_refused(corpus: Corpus) -> None:
    Corpus.open(corpus.folder, corpus.tokenizer())
    with pytest.raises(InputError, match="the tokenizer does not match the data"):
        Corpus.open(corpus.folder, Tokenizer.train(["other text"], 300))


def test_unknown_split_is_answered_with_the_known_ones(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="did you mean 'validation'"):
        corpus.split("valid")  # pyright: ignore[reportArgumentType]


def test_command_line_prepares_and_shows(source: Path, tmp_path: Path) -> None:
    arguments = ["prepare", str(source), "--out", str(tmp_path / "data"), "--vocab-size", "400", "--workers", "1"]
    made = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert Manifest.model_validate_json(made.stdout) == Manifest.read(tmp_path / "data")
    again = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "is complete already" in again.stderr
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "data"), "--verify"], catch_exceptions=False)
    assert "near_duplicate 1" in shown.stdout
    assert "every file is as the manifest says" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--val-fraction", "1"], r"val_fraction 1\.0 is out of range.* \(see --val-fraction\)"),
        (["--workers", "0"], r"workers 0 is out of range.* \(see --workers\)"),
        (["--text-key", "body"], r"no key 'body'; known: text \(see --text-key\)"),
    ],
)
def test_command_line_names_the_option_to_change(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a line of text that is good to learn from"}\n')
    result = CliRunner().invoke(app, ["prepare", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "d"), *arguments])
    assert isinstance(result.exception, InputError)
    assert re.search(message, str(result.exception))

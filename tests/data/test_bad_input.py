"""Every kind of bad input is one clear line that names the place, and leaves nothing behind."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError

GOOD_LINE = json.dumps({"text": "a line of text that is good to learn from"}) + "\n"


def _write(name: str, content: bytes | str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def _empty_folder(folder: Path) -> Path:
    (folder / "empty" / ".hidden").mkdir(parents=True)
    (folder / "empty" / ".hidden" / "a.txt").write_text("not seen")
    (folder / "empty" / "picture.png").write_bytes(b"\x89PNG")
    return folder / "empty"


def _folder_of_binaries(folder: Path) -> Path:
    (folder / "binaries").mkdir()
    (folder / "binaries" / "a.txt").write_bytes(b"\0\1\2")
    return folder / "binaries"


def _parquet(columns: dict[str, list]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / "a.parquet")
        return folder / "a.parquet"

    return write


def _zip(members: dict[str, str]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return folder / "a.zip"

    return write


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere", "source .*nowhere does not exist"),
        (_empty_folder, "source .*empty is empty"),
        (_folder_of_binaries, "source .*binaries is empty: its 1 file"),
        (_write("a.txt", ""), r"source .*a\.txt is empty"),
        (_write("a.jsonl", "\n\n"), r"source .*a\.jsonl is empty"),
        (_write("a.txt", "short"), r"no document is left .*too_short 1"),
        (_write("a.txt", b"one\ntwo\0"), r"a\.txt:2: binary"),
        (_write("a.txt", b"one\ntwo \xff three"), r"a\.txt:2: not UTF-8 \(byte 0xff\)"),
        (_write("a.txt", b"x" * 99 + b"\n" + b"line\n" * 300_000 + b"\xfe"), r"a\.txt:300002: not UTF-8"),
        (_write("a.jsonl", GOOD_LINE * 2 + "{oops\n"), r"a\.jsonl:3: not JSON"),
        (_write("a.jsonl", GOOD_LINE + "[1]\n"), r"a\.jsonl:2: a JSON list"),
        (_write("a.jsonl", GOOD_LINE + '{"texts": "b"}\n'), r"a\.jsonl:2: no key 'text'.* did you mean 'texts'\?"),
        (_write("a.jsonl", '{"text": 5}\n'), r"a\.jsonl:1: 'text' holds a int"),
        (_write("a.jsonl.gz", b"\x1f\x8bnot gzip"), r"a\.jsonl\.gz: damaged after line 0"),
        (_write("a.jsonl.zst", b"not zstd at all"), r"a\.jsonl\.zst: damaged after line 0"),
        (_write("a.parquet", b"PAR1nothing"), r"a\.parquet: damaged Parquet"),
        (_parquet({"content": ["a"]}), r"a\.parquet: no column 'text'"),
        (_parquet({"text": [1]}), r"a\.parquet: row 1: 'text' holds a int"),
        (_write("a.zip", b"PKnothing"), r"a\.zip: not a readable zip"),
        (_zip({"data/like.js": "window.YTD.like.part0 = []"}), r"a\.zip: no data/tweets\.js"),
        (_zip({"data/tweets.js": "hello"}), r"data/tweets\.js: does not begin with"),
        (_zip({"data/tweets.js": "window.YTD.tweets.part0 = [{]"}), r"data/tweets\.js: not JSON near '\{\]'"),
        (_zip({"data/tweets.js": 'window.YTD.tweets.part0 = [{"tweet": {}}]'}), r"hold no text \(no_text 1\)"),
        (_zip({"data/tweets.js": "window.YTD.tweets.part0 = [" + " " * 9_000_000}), "times its packed size"),
    ],
)
def test_bad_source_is_one_line_and_leaves_nothing(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    place = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message) as caught:
        prepare([str(place)], tmp_path / "out", PrepareOptions(vocab_size=300), workers=1)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_error_in_a_worker_process_is_the_same_line(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text(GOOD_LINE)
    (tmp_path / "b.jsonl").write_text(GOOD_LINE + "{oops\n")
    places = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    with pytest.raises(InputError, match=r"b\.jsonl:2: not JSON.*what was read before is kept"):
        prepare(places, tmp_path / "out", PrepareOptions(vocab_size=300), workers=2)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "out.partial"]


def test_tokenizer_that_loses_text_is_refused(tmp_path: Path) -> None:
    good = json.loads(Tokenizer.train(["abc"], 300)._json_text)
    drops_spaces = {"type": "WhitespaceSplit"}
    good["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [drops_spaces, *good["pre_tokenizer"]["pretokenizers"]],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(good))
    fine = "-this-document-has-no-space-at-all-and-comes-back"
    for number in range(100):  # every document is checked, not the first ones alone
        (tmp_path / f"0{number:03}.txt").write_text(f"{number}-{'xyz'[number % 3] * number}{fine}")
    (tmp_path / "a.txt").write_text("Text with spaces that such a tokenizer loses.")
    options = PrepareOptions(tokenizer=str(tmp_path / "tokenizer.json"), near_threshold=None)
    with pytest.raises(InputError, match=r"does not match the data: it loses text of .*a\.txt"):
        prepare([str(file) for file in sorted(tmp_path.glob("*.txt"))], tmp_path / "out", options, workers=1)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    "values",
    [{"val_fraction": 1.0}, {"near_threshold": 0.0}, {"min_chars": -1}, {"shard_tokens": 0}, {"limit_bytes": 0}],
)
def test_options_out_of_range_are_named(values: dict) -> None:
    (name,) = values
    with pytest.raises(InputError, match=f"{name} .* is out of range: it must be"):
        PrepareOptions(**values)

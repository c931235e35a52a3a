"""Files are read by their form or refused by name, and what is not read is said."""

import bz2
import csv
import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from kolossos.data.corpus.corpus import Corpus
from kolossos.data.corpus.documents import DocumentRecord
from kolossos.data.corpus.manifest import Manifest
from kolossos.data.documents.sources import LINKED_FOLDER, find_source
from kolossos.data.options import PrepareOptions, text_keys
from kolossos.data.prepare import prepare
from kolossos.errors import InputError

OPTIONS = PrepareOptions(vocab_size=300, val_fraction=0, near_threshold=None, min_chars=1)
A, B = "The first of two texts to keep.", "The second of two texts: 漢字 and é."
RECORDS = [{"text": A, "url": "https://a"}, {"text": B}]


def made(place: Path | str | list[str], tmp_path: Path, **options: object) -> tuple[list[str], Manifest]:
    """The texts that `prepare` keeps of a source, in order, and the manifest."""
    chosen = PrepareOptions(**{**vars(OPTIONS), **options})  # pyright: ignore[reportArgumentType]
    arguments = place if isinstance(place, list) else [str(place)]
    corpus = Corpus.open(prepare(arguments, tmp_path / "made", chosen, workers=1).folder)
    tokenizer, split = corpus.tokenizer(), corpus.split("train")
    texts, ids = [], []
    for token in split.stream(0, split.n_tokens).tolist():
        if token == tokenizer.eos_id:
            texts.append(tokenizer.decode(ids))
            ids = []
        else:
            ids.append(token)
    return texts, corpus.manifest


def table(tmp_path: Path) -> list[DocumentRecord]:
    return list(Corpus.open(tmp_path / "made").documents("train"))


def lines(records: list) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def zstd(content: bytes) -> bytes:
    return pyarrow.compress(content, codec="zstd", asbytes=True)


WET = (
    "WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 5\r\n\r\nabout\r\n\r\n"
    + "".join(
        f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://{i}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"Content-Length: {len(text.encode())}\r\n\r\n{text}\r\n\r\n"
        for i, text in enumerate((A, B))
    )
).encode()
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"text": "what was printed"}]},
    ]
}


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.json", json.dumps(RECORDS).encode(), [A, B]),
        ("indented.json", b"\xef\xbb\xbf" + json.dumps(RECORDS, indent=2).encode(), [A, B]),
        ("lines.json", lines(RECORDS), [A, B]),
        ("one.json", json.dumps(RECORDS[0], indent=1).encode(), [A]),
        ("c4-train.00000.json.gz", gzip.compress(lines(RECORDS), mtime=0), [A, B]),
        ("dolma.json.zst", zstd(lines(RECORDS)), [A, B]),
        ("a.json.bz2", bz2.compress(json.dumps(RECORDS).encode()), [A, B]),
        ("a.jsonl.xz", lzma.compress(lines(RECORDS)), [A, B]),
        ("no_ending", lines(RECORDS), [A, B]),
        ("a.csv", f'id,text\n1,"{A}"\n\n2,"{B}"\n3,\n'.encode(), [A, B]),
        ("semicolons.csv", f"\ufefftext;id\r\n{A};1\r\n{B};2\r\n".encode(), [A, B]),
        ("a.tsv", f"text\tid\n{A}\t1\n{B}\t2\n".encode(), [A, B]),
        ("a.csv.gz", gzip.compress(f"text\n{A}\n".encode(), mtime=0), [A]),
        ("a.ipynb", json.dumps(NOTEBOOK).encode(), ["# Title\nwords\n\nprint(1)"]),
        ("a.wet", WET, [A, B]),
        ("CC-MAIN.warc.wet.gz", gzip.compress(WET, mtime=0), [A, B]),
        ("a.txt.gz", gzip.compress(A.encode(), mtime=0), [A]),
        ("a.md.zst", zstd(A.encode()), [A]),
        ("RC_2023-01.zst", zstd(lines([{"subreddit": "s", "body": A}, {"subreddit": "s", "body": "[deleted]"}])), [A]),
        ("RS_2023-01.zst", zstd(lines([{"subreddit": "s", "title": "T", "selftext": B}])), ["T\n\n" + B]),
        ("RC_2015-01.bz2", bz2.compress(lines([{"subreddit": "s", "body": A}])), [A]),
    ],
)
@pytest.mark.parametrize("in_folder", [False, True])
def test_read_by_form(name: str, content: bytes, texts: list[str], in_folder: bool, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(content)
    if in_folder and name == "no_ending":
        with pytest.raises(InputError, match=r"is empty.*\(no ending\) 1"):
            find_source(str(tmp_path / "in"))
        return
    found, _ = made(tmp_path / "in" if in_folder else tmp_path / "in" / name, tmp_path)
    assert found == texts


SHAREGPT = [{"conversations": [{"from": "human", "value": A}]}]
ALPACA = [{"instruction": A, "input": "", "output": B}]
MESSAGES = [{"messages": [{"role": "user", "content": A}]}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sharegpt.json", json.dumps(SHAREGPT), "'conversations' holds a conversation"),
        ("chat.jsonl", json.dumps(MESSAGES[0]), "'messages' holds a conversation.*write each conversation as one text"),
        ("alpaca.json", json.dumps(ALPACA), "a task with its answer"),
        ("a.csv", "id,name\n1,b\n", r"a\.csv: no column 'text' in its first line; known: id, name"),
        ("a.html", "<p>words", r"a\.html is \.html, which is not read; give its text"),
        ("a.pdf", "%PDF", r"is \.pdf, which is not read"),
        ("a.docx", "PK", r"is \.docx, which is not read"),
        ("a.mbox", "From me", r"is \.mbox, which is not read"),
        ("a.warc", "WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 1\r\n\r\nx", "a web page as it was sent"),
        ("a.ipynb", "{}", "no notebook"),
        ("a.tar.gz", "", r"is \.gz, which is not read"),
    ],
)
def test_refused_by_name_with_what_would_be_right(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        made(tmp_path / name, tmp_path)


def test_chat_under_its_own_key_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(MESSAGES))
    with pytest.raises(InputError, match="'messages' holds a conversation"):
        made(tmp_path / "a.jsonl", tmp_path, text_key="messages")


def test_what_a_folder_holds_and_is_no_text_is_counted(tmp_path: Path) -> None:
    place = tmp_path / "mixed"
    place.mkdir()
    contents = {
        "a.txt": A,
        "package.json": '{"name": "x", "version": "1"}',
        "tsconfig.json": "{ // a comment\n}",
        "figures.csv": "x,y\n1,2\n",
        "a.html": "<p>",
        "a.docx": "PK",
        "sharegpt.json": json.dumps(SHAREGPT),
        "broken.ipynb": "{",
    }
    for name, content in contents.items():
        (place / name).write_text(content)
    (place / "b.txt").write_bytes(A.encode("utf-16"))
    (place / "c.txt").write_bytes(A.encode("utf-16-le"))
    found, manifest = made(place, tmp_path)
    assert found == [A]
    assert manifest.dropped == {"not_json": 3, "not_notebook": 1, "not_table": 1, "utf-16": 1, "utf-16le": 1}
    assert manifest.sources[0].not_read == {".docx": 1, ".html": 1}


@pytest.mark.parametrize(("encoding", "name"), [("utf-16", "UTF-16"), ("utf-16-be", "UTF-16BE"), ("utf-32", "UTF-32")])
@pytest.mark.parametrize("times", [1, 60_000])
def test_wide_encodings_are_named(encoding: str, name: str, times: int, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_bytes("Some words, äöü.\n".encode(encoding) * times)
    with pytest.raises(InputError, match=rf"a\.txt: {name} text, but UTF-8 is what is read"):
        made(tmp_path / "in" / "a.txt", tmp_path)
    with pytest.raises(InputError, match=rf"hold no text \({name.lower()} 1\)"):
        made(tmp_path / "in", tmp_path)


def test_nulls_are_skipped_and_counted_alike_everywhere(tmp_path: Path) -> None:
    records = [RECORDS[0], {"text": None}, RECORDS[1]]
    (tmp_path / "a.jsonl").write_bytes(lines(records))
    (tmp_path / "a.json").write_bytes(json.dumps(records).encode())
    pyarrow.parquet.write_table(pyarrow.table({"text": [A, None, B]}), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.json", "a.parquet"):
        (tmp_path / name).rename(tmp_path / "in")
        place = (tmp_path / "in").rename(tmp_path / f"{name[2:]}-{name}")
        found, manifest = made(place, tmp_path / name[2:])
        assert (found, manifest.dropped) == ([A, B], {"no_text": 1})


def test_parquet_with_bytes_and_text_inside_structures(tmp_path: Path) -> None:
    binary = pyarrow.table({"text": pyarrow.array([A.encode(), None, b"\xff\xfe"], pyarrow.binary())})
    pyarrow.parquet.write_table(binary, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="row 3: 'text' holds bytes that are not UTF-8"):
        made(tmp_path / "a.parquet", tmp_path)
    found, manifest = made(tmp_path / "a.parquet", tmp_path, bad_lines="skip")
    assert (found, manifest.dropped) == ([A], {"bad_line": 1, "no_text": 1})
    nested = pyarrow.table({"content": [{"text": A, "n": 1}, None, {"text": B, "n": 2}]})
    pyarrow.parquet.write_table(nested, tmp_path / "b.parquet")
    assert made(tmp_path / "b.parquet", tmp_path / "b", text_key="content.text")[0] == [A, B]
    with pytest.raises(InputError, match=r"no 'txt' of 'content\.txt'"):
        made(tmp_path / "b.parquet", tmp_path / "c", text_key="content.txt")


def test_keys_with_dots_and_a_key_for_each_source(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([{"content": {"text": A}}]))
    (tmp_path / "b.jsonl").write_bytes(lines([{"raw_content": B}, {"raw.content": 1, "raw_content": A + "!"}]))
    sources = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    key, keys = text_keys(["content.text", f"{sources[1]}=raw_content"], sources)
    assert (key, keys) == ("content.text", ((sources[1], "raw_content"),))
    found, manifest = made(sources, tmp_path, text_key=key, text_keys=keys)
    assert found == [A, B, A + "!"]
    assert manifest.options.text_keys == {sources[1]: "raw_content"}


@pytest.mark.parametrize(
    "bad", [b'{"text": "cut o', '{"text": "Übel"}'.encode("latin-1"), b"[1]", b'{"text": 5}', b"{}"]
)
def test_a_bad_line_stops_with_work_kept_or_is_skipped_counted_and_named(bad: bytes, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jsonl").write_bytes(lines([{"text": f"{A} {name} {i}"} for i in range(9)]))
    with open(tmp_path / "c.jsonl", "ab") as file:
        file.write(bad + b"\n")
    sources = [str(tmp_path / f"{name}.jsonl") for name in "abc"]
    with pytest.raises(InputError, match=r"c\.jsonl:10: .*what was read before is kept"):
        made(sources, tmp_path)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "made.partial" / "work" / "gathered").iterdir()}
    assert len([name for name in kept if name.endswith(".json")]) == 2
    found, manifest = made(sources, tmp_path, bad_lines="skip")
    assert (len(found), manifest.dropped) == (27, {"bad_line": 1})
    assert str(manifest.sources[2].first_bad_line).startswith(f"{tmp_path}/c.jsonl:10: ")


def test_kept_work_is_used_again_after_the_file_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_bytes(lines([{"text": f"{A} {name} {i}"} for i in range(9)]))
    good = (tmp_path / "b.jsonl").read_bytes()
    (tmp_path / "b.jsonl").write_bytes(good + b"{oops")
    sources = [str(tmp_path / f"{name}.jsonl") for name in "ab"]
    with pytest.raises(InputError, match="is kept for the next try"):
        made(sources, tmp_path)
    (tmp_path / "b.jsonl").write_bytes(good)
    from kolossos.data.documents import gather

    written: list[Path] = []
    real = gather.write_work_file
    monkeypatch.setattr(gather, "write_work_file", lambda path, docs: (written.append(path), real(path, docs)))
    assert len(made(sources, tmp_path)[0]) == 18
    assert len(written) == 1
    assert len(made(sources, tmp_path / "fresh")[0]) == 18


def test_where_every_line_is_bad_the_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"one\ntwo\n")
    with pytest.raises(InputError, match=r"bad_line 2.*the first bad line: .*a\.jsonl:1: not JSON"):
        made(tmp_path / "a.jsonl", tmp_path, bad_lines="skip")


def test_one_long_text_is_cut_alike_in_every_format(tmp_path: Path) -> None:
    text = "".join(f"line {i} of many\n" + "\n" * (i % 7 == 0) for i in range(80_000)).rstrip()
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "a.jsonl").write_bytes(lines([{"text": text}]))
    csv.field_size_limit(1 << 26)
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text"], [text]])
    pyarrow.parquet.write_table(pyarrow.table({"text": [text]}), tmp_path / "a.parquet")
    expected, _ = made(tmp_path / "a.txt", tmp_path / "txt")
    assert len(expected) > 10
    for kind in ("jsonl", "csv", "parquet"):
        assert made(tmp_path / f"a.{kind}", tmp_path / kind)[0] == expected


@pytest.mark.parametrize("text", ["ü漢🙂 " * 400_000, "漢" * 900_000, "x" * 2_500_000])
def test_a_text_without_lines_is_cut_at_words_or_characters(text: str, tmp_path: Path) -> None:
    from kolossos.data.pieces import cut

    pieces = list(cut(text))
    assert "".join(pieces) == text
    assert max(len(piece.encode()) for piece in pieces) <= 1 << 18
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "a.jsonl").write_bytes(lines([{"text": text}]))
    assert find_source(str(tmp_path / "a.txt")).files
    if " " in text:
        assert made(tmp_path / "a.txt", tmp_path / "t")[0] == made(tmp_path / "a.jsonl", tmp_path / "j")[0]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "txt", "csv", "parquet"])
@pytest.mark.parametrize("named", [False, True])
def test_names_that_are_not_utf8_are_read(suffix: str, named: bool, tmp_path: Path) -> None:
    contents: dict[str, Callable[[], bytes]] = {
        "jsonl": lambda: lines(RECORDS[:1]),
        "json": lambda: json.dumps(RECORDS[:1]).encode(),
        "txt": A.encode,
        "csv": lambda: f"text\n{A}\n".encode(),
    }
    folder = bytes(tmp_path / "in") + b"\xfe"
    os.mkdir(folder)
    path = os.fsdecode(folder + b"/\xff." + suffix.encode())
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"text": [A]}), tmp_path / "p")
        os.rename(tmp_path / "p", path)
    else:
        Path(path).write_bytes(contents[suffix]())
    with open(os.fsdecode(folder + b"/a.\xff"), "w") as file:
        file.write("other")
    found, manifest = made(path if named else os.fsdecode(folder), tmp_path)
    assert found == [A]
    assert "?" in manifest.sources[0].argument


def test_links_to_folders_are_read_once_or_named(tmp_path: Path) -> None:
    notes, other = tmp_path / "notes", tmp_path / "other"
    (notes / "sub").mkdir(parents=True)
    (other / "deep").mkdir(parents=True)
    (notes / "sub" / "a.txt").write_text(A)
    (other / "deep" / "b.txt").write_text(B)
    (notes / "linked").symlink_to(other)
    (notes / "linked_again").symlink_to(other / "deep")
    (notes / "sub" / "itself").symlink_to(notes)
    (other / "back").symlink_to(notes / "sub")
    (notes / "up").symlink_to(tmp_path)
    source = find_source(str(notes))
    assert [file.name for file in source.files] == ["linked/deep/b.txt", "sub/a.txt"]
    assert source.not_read[LINKED_FOLDER] == 4


def test_a_file_that_is_gone_or_changed_when_it_is_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kolossos.data import prepare as prepare_module

    for suffix, content in (("jsonl", lines(RECORDS)), ("txt", A.encode()), ("csv", b"text\nx\n")):
        for change, message in (
            (lambda path: path.unlink(), "is gone since it was found"),
            (lambda path: path.write_bytes(b"{}"), "has changed since it was found"),
        ):
            (tmp_path / "in").mkdir(exist_ok=True)
            path = tmp_path / "in" / f"a.{suffix}"
            path.write_bytes(content)

            def found(argument: str, skip: frozenset[Path], path: Path = path, change: Callable = change):
                source = find_source(argument, skip)
                change(path)
                return source

            monkeypatch.setattr(prepare_module, "find_source", found)
            with pytest.raises(InputError, match=message):
                made(tmp_path / "in", tmp_path)
            path.unlink(missing_ok=True)

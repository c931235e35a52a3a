"""A document keeps who wrote it, where and when, beside its tokens, whatever happens on the way."""

import datetime
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from kolossos.data.corpus import documents
from kolossos.data.corpus.corpus import Corpus
from kolossos.data.corpus.documents import DocumentRecord
from kolossos.data.documents import gather
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError

ContentOf = Callable[[Path], dict[str, bytes]]
OPTIONS = PrepareOptions(vocab_size=300, val_fraction=0, near_threshold=None)
NOON = datetime.datetime(2024, 5, 1, 12, 0, tzinfo=datetime.UTC)


def records(source: Path, tmp_path: Path, options: PrepareOptions = OPTIONS) -> list[DocumentRecord]:
    corpus = Corpus.open(prepare([str(source)], tmp_path / "data", options, workers=1).folder)
    return list(corpus.documents("train"))


def test_row_i_is_document_i(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = corpus.tokenizer()
    for name in ("train", "validation"):
        split = corpus.split(name)
        table = list(corpus.documents(name))
        assert len(table) == split.n_documents
        ids = split.stream(0, split.n_tokens).tolist()
        for i, record in enumerate(table):
            end = ids.index(tokenizer.eos_id)
            text, ids = tokenizer.decode(ids[:end]), ids[end + 1 :]
            assert record.url is not None
            assert Path(record.url).read_text().rstrip() == text
            assert record.url == f"{record.source}/{record.file}"
            assert corpus.document(name, i) == record
        for outside in (-1, split.n_documents):
            with pytest.raises(IndexError):
                corpus.document(name, outside)


def test_json_lines_give_the_usual_keys(tmp_path: Path) -> None:
    lines = [
        {
            "text": "The first of some texts to keep.",
            "id": 17,
            "author": "Ada",
            "url": "https://a",
            "date": "1843",
        },
        {
            "text": "The second of some texts to keep.",
            "_id": "x",
            "user": {"screen_name": "grace"},
            "link": "https://b",
        },
        {"text": "The third of some texts to keep.", "doc_id": "y", "username": "e\ud800", "timestamp": 1714564800},
        {"text": "The fourth of some texts to keep.", "created_at": "Wed Oct 10 20:19:24 +0000 2018", "id": True},
        {"text": "The fifth of some texts to keep.", "published": "Wed, 01 May 2024 12:00:00 GMT", "source_url": ""},
        {"text": "The sixth of some texts to keep.", "timestamp": 1714564800000},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    noon = NOON.isoformat()
    assert [(r.id, r.author, r.url, r.date, r.file, r.line) for r in records(path, tmp_path)] == [
        ("17", "Ada", "https://a", "1843", "a.jsonl", 1),
        ("x", "grace", "https://b", None, "a.jsonl", 2),
        ("y", "e?", None, noon, "a.jsonl", 3),
        (None, None, None, "2018-10-10T20:19:24+00:00", "a.jsonl", 4),
        (None, None, None, noon, "a.jsonl", 5),
        (None, None, None, noon, "a.jsonl", 6),
    ]


def test_parquet_gives_the_usual_columns(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "doc_id": [1, 2, 3],
            "text": ["The first of some texts to keep.", None, "The third of some texts to keep."],
            "username": ["Ada", "Grace", None],
            "created_at": pyarrow.array([1_714_564_800 * 10**9 + 1, 0, None], pyarrow.timestamp("ns", "UTC")),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    found = [(r.id, r.author, r.date, r.line) for r in records(tmp_path / "a.parquet", tmp_path)]
    assert found == [("1", "Ada", NOON.isoformat(), 1), ("3", None, None, 3)]


def test_posts_give_number_address_and_date_and_nothing_private(tmp_path: Path) -> None:
    post = {
        "id_str": "123",
        "full_text": "A post that is long enough to keep.",
        "created_at": "Wed Oct 10 20:19:24 +0000 2018",
        "user": {"screen_name": "me", "email": "me@example.org"},
    }
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("data/tweets.js", "window.YTD.tweets.part0 = " + json.dumps([{"tweet": post}]))
    (record,) = records(tmp_path / "x.zip", tmp_path)
    assert record == DocumentRecord(
        id="123",
        author=None,
        url="https://x.com/i/status/123",
        date="2018-10-10T20:19:24+00:00",
        source=str(tmp_path / "x.zip"),
        file="x.zip: data/tweets.js",
        line=1,
    )


def test_pieces_of_a_large_text_have_their_lines(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("".join(f"line {i} of many, each another\n" for i in range(60_000)))
    found = records(tmp_path / "book.txt", tmp_path)
    assert found[0].line == 1
    assert found[1].line is not None
    assert found[1].line > 1000
    assert {r.url for r in found} == {str(tmp_path / "book.txt")}


def test_a_name_that_is_no_text_is_kept_readable(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    with open(bytes(tmp_path / "texts") + b"/\xff.txt", "w") as file:
        file.write("Some words to learn from, again.")
    (record,) = records(tmp_path / "texts", tmp_path)
    assert record.file == "?.txt"


def test_tables_are_the_same_bytes_however_the_work_is_cut(
    tmp_path: Path, content_of: ContentOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "ROWS_AT_ONCE", 7)
    rows = [{"id": i, "text": f"Text number {i} of many, all of them different: {i * i}."} for i in range(200)]
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    options = PrepareOptions(vocab_size=300, val_fraction=0.1, shard_tokens=2000)
    whole = prepare([str(tmp_path / "a.parquet")], tmp_path / "whole", options, workers=1)
    monkeypatch.setattr(gather, "TASK_BYTES", 1500)
    cut = prepare([str(tmp_path / "a.parquet")], tmp_path / "cut", options, workers=2)
    assert content_of(cut.folder) == content_of(whole.folder)
    corpus = Corpus.open(cut.folder)
    found = [*corpus.documents("train"), *corpus.documents("validation")]
    assert sorted(int(r.id or "") for r in found) == list(range(200))
    assert all(r.line == int(r.id or "") + 1 for r in found)
    assert len(whole.manifest.splits["train"].shards) > 1


def test_data_of_before_opens_and_says_that_it_has_no_table(corpus: Corpus, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(corpus.folder, tmp_path / "old"))
    manifest = json.loads((folder / "manifest.json").read_text())
    for split in manifest["splits"].values():
        for shard in split["shards"]:
            del shard["documents_sha256"]
            (folder / f"documents-{shard['name']}.parquet").unlink()
    for source in manifest["sources"]:
        del source["not_read"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    old = Corpus.open(folder)
    old.verify()
    assert old.split("train").n_tokens == corpus.split("train").n_tokens
    with pytest.raises(InputError, match="has no table of documents"):
        old.document("train", 0)

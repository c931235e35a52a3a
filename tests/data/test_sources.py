"""Each kind of source gives its documents, and of an X archive nothing but the owner's own posts."""

import json
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from kolossos.data.documents.sources import PYTHON_STDLIB, find_source
from kolossos.data.formats import format_named, x_archive

TEXTS = ["first text", "second\ntext with 漢字", "third"]


def texts_of(place: Path, text_key: str = "text") -> list[str]:
    source = find_source(str(place))
    return [
        document.text
        for file in source.files
        for document in format_named(file.format).read(Path(file.path), text_key, None)
    ]


@pytest.mark.parametrize(("suffix", "compression"), [("", None), (".gz", "gzip"), (".zst", "zstd")])
def test_jsonl_plain_and_compressed(suffix: str, compression: str | None, tmp_path: Path) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    with pyarrow.output_stream(str(path), compression=compression) as stream:
        for text in TEXTS:
            stream.write(json.dumps({"body": text}).encode() + b"\n\n")
    assert texts_of(path, "body") == TEXTS


def test_parquet_by_row_groups_without_nulls(tmp_path: Path) -> None:
    table = pyarrow.table({"id": range(4), "text": [*TEXTS, None]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    assert texts_of(tmp_path / "a.parquet") == TEXTS


def test_folder_gives_text_and_code_and_skips_what_is_hidden_or_generated(tmp_path: Path) -> None:
    for name in (
        "b.md",
        "a.py",
        "sub/c.rs",
        ".hidden/d.txt",
        "__pycache__/e.py",
        "node_modules/f.js",
        "g.png",
        ".h.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert texts_of(tmp_path) == ["a.py", "b.md", "sub/c.rs"]


def test_standard_library_is_python_without_installed_packages() -> None:
    names = {file.name for file in find_source(PYTHON_STDLIB).files}
    assert {"json/decoder.py", "argparse.py"} <= names
    assert all(name.endswith(".py") and "site-packages" not in name for name in names)


def test_large_text_is_read_in_pieces_that_join_to_it(tmp_path: Path) -> None:
    text = "".join(f"line {i} of many\n" + "\n" * (i % 7 == 0) for i in range(80_000))
    (tmp_path / "book.txt").write_text(text)
    pieces = texts_of(tmp_path / "book.txt")
    assert "".join(pieces) == text
    assert len(pieces) > 10
    assert all(piece.endswith("\n\n") for piece in pieces[:-1])


def _post(text: str, **more: object) -> dict:
    return {"tweet": {"id": "1", "full_text": text, **more}}


LINK = {"urls": [{"url": "https://t.co/x", "expanded_url": "https://example.org/a?b=1"}]}
PARTS = {
    "data/tweets.js": [_post("AT&amp;T &lt;3 \U0001f680"), _post("RT @someone: not mine"), _post("@you a reply")],
    "data/tweets-part1.js": [_post("see https://t.co/x", entities=LINK)],
    "data/direct-messages.js": [_post("private")],
}
POSTS = ["AT&T <3 \U0001f680", "@you a reply", "see https://example.org/a?b=1"]


def _script(name: str, posts: list[dict]) -> str:
    variable = "direct_messages" if "direct" in name else "tweets"
    return f"window.YTD.{variable}.part0 = " + json.dumps(posts, indent=2, ensure_ascii=False)


@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_x_archive_gives_the_posts_of_the_account(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x_archive, "CHUNK_CHARACTERS", max(chunk, 40))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        for name, posts in PARTS.items():
            packed.writestr(name, _script(name, posts))
    assert texts_of(tmp_path / "x.zip") == POSTS


def test_unpacked_x_archive_gives_no_private_part(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, posts in PARTS.items():
        (tmp_path / name).write_text(_script(name, posts))
    assert sorted(texts_of(tmp_path)) == sorted(POSTS)
    assert texts_of(tmp_path / "data" / "tweets.js") == POSTS[:2]


def test_archive_of_2019_with_one_tweet_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("twitter-2019/data/tweet.js", 'window.YTD.tweet.part0 = [{"full_text": "old post"}]')
    assert texts_of(tmp_path / "x.zip") == ["old post"]

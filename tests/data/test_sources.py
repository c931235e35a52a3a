"""Each kind of source gives its documents, and of an X archive nothing but the owner's own posts."""

import json
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from kolossos.data import records
from kolossos.data.document import Document
from kolossos.data.documents.sources import PYTHON_STDLIB, find_source
from kolossos.data.formats import all_formats, format_named
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError

TEXTS = ["first text", "second\ntext with 漢字", "third"]


def texts_of(place: Path, text_key: str = "text") -> list[str]:
    source = find_source(str(place))
    return [
        document.text
        for file in source.files
        for document in format_named(file.format).read(Path(file.path), text_key, None)
        if isinstance(document, Document)
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
NOTE = "A long post that goes on and on. " * 12
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
    monkeypatch.setattr(records, "CHUNK_CHARACTERS", max(chunk, 40))
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


def _note(text: str, number: str = "9") -> dict:
    return {"noteTweet": {"noteTweetId": number, "createdAt": "2023-05-01T00:00:00.000Z", "core": {"text": text}}}


def test_long_posts_are_whole_and_take_the_place_of_their_cut_form(tmp_path: Path) -> None:
    cut = NOTE[:270] + "… https://t.co/abc"
    notes = json.dumps([_note(NOTE), _note("b" * 9)])
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("data/tweets.js", _script("tweets", [_post("first"), _post(cut), _post("last")]))
        packed.writestr("data/note-tweet.js", "window.YTD.note_tweet.part0 = " + notes)
    assert texts_of(tmp_path / "x.zip") == ["first", NOTE, "last", "b" * 9]


def test_archive_of_2012_with_a_file_a_month(tmp_path: Path) -> None:
    months = {f"data/js/tweets/2012_{month:02}.js": f"post of month {month}" for month in (11, 8)}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        for name, text in months.items():
            post = {"id_str": "5", "text": text, "created_at": "2012-08-30 18:27:27 +0000"}
            packed.writestr(name, f"Grailbird.data.{name[8:-3].replace('/', '_')} = \n [{json.dumps(post)}]")
        packed.writestr("data/js/user_details.js", "var user_details = {}")
    source = find_source(str(tmp_path / "x.zip"))
    (file,) = source.files
    found = list(format_named(file.format).read(Path(file.path), "text", None))
    assert [document.text for document in found if isinstance(document, Document)] == [
        "post of month 8",
        "post of month 11",
    ]
    assert isinstance(found[0], Document)
    assert found[0].facts.date == "2012-08-30T18:27:27+00:00"


@pytest.mark.parametrize(
    "head",
    [
        "window.YTD.direct_messages.part0 = [",
        "window.YTD.account.part0 = [",
        "\ufeffwindow.YTD.like.part0 = [",
        "window.__THAR_CONFIG = {",
        "var user_details = {",
        "Grailbird.data.followers = [",
    ],
)
@pytest.mark.parametrize("name", ["a.js", "renamed.txt"])
def test_a_private_file_of_an_archive_is_refused_even_if_it_is_named(head: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(head + " 'private words to nobody else' ]")
    with pytest.raises(InputError, match="a private part of an X archive"):
        find_source(str(tmp_path / name))


def test_what_a_folder_holds_and_is_not_read_is_counted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, posts in PARTS.items():
        (tmp_path / name).write_text(_script(name, posts))
    for name in ("a.png", "b.PNG", "Makefile", "c.zip"):
        (tmp_path / name).write_bytes(b"?")
    assert find_source(str(tmp_path)).not_read == {"(no ending)": 1, ".png": 2, ".zip": 1, "private": 1}
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.pdf").write_bytes(b"?")
    with pytest.raises(InputError, match=r"only is empty: no .* in it \(not read: \.pdf 1\)"):
        find_source(str(tmp_path / "only"))


def test_prepared_data_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("Some words to learn from, again and again.")
    made = prepare([str(tmp_path / "texts")], tmp_path / "texts" / "data", PrepareOptions(vocab_size=300), workers=1)
    assert texts_of(tmp_path / "texts") == ["Some words to learn from, again and again."]
    with pytest.raises(InputError, match="is prepared data already"):
        find_source(str(made.folder))


def test_formats_are_listed_and_an_unknown_one_is_refused_by_name() -> None:
    assert list(all_formats()) == [
        "json",
        "jsonl",
        "notebook",
        "parquet",
        "table",
        "text",
        "wet",
        "x-archive",
    ]
    with pytest.raises(InputError, match="unknown data format 'parket'; did you mean 'parquet'"):
        format_named("parket")


def test_each_format_says_how_much_disk_it_needs() -> None:
    assert all(form.disk_bytes_per_byte >= 1 for form in all_formats().values())

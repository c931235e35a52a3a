"""`kolossos index` and `kolossos search` as a person uses them."""

import json
import re
import resource

import pytest
from typer.testing import CliRunner

from kolossos.cli.main import app
from kolossos.errors import InputError

POSTS = [
    {"id": "1", "text": "The storm took the lighthouse\x1b last night", "author": "ann", "lang": "en"},
    {"id": "2", "text": "The storm took the lighthouse last night!", "author": "bob", "created_at": "2024-05-06"},
    {"id": "3", "text": "A quiet morning at the pier, with tea and a very " + "long " * 60 + "walk to the lighthouse"},
]


@pytest.fixture
def index(tmp_path):
    file, place = tmp_path / "posts.jsonl", tmp_path / "index"
    file.write_text("\n".join(map(json.dumps, POSTS)))
    assert run("index", str(file), "--out", str(place)).exit_code == 0
    return place


def run(*arguments: str, columns: int = 100):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": str(columns)}, catch_exceptions=False)


def test_results_as_json_say_where_what_and_why(index) -> None:
    found = json.loads(run("search", str(index), "lighthouses", "storm", "--json").stdout)
    assert [r["rank"] for r in found] == [1, 2]
    first, last = found
    assert {first["key"], *(f["key"] for f in first["folded"])} == {"1", "2"}
    assert first["folded"][0]["reason"] == "near duplicate"
    assert first["why"]["matched"] == ["storm", "lighthouse"]
    assert last["key"] == "3"
    shown = last["snippet"]
    assert POSTS[2]["text"][shown["start"] : shown["end"]] == shown["text"]
    assert [POSTS[2]["text"][a:b] for a, b in shown["marks"]] == ["lighthouse"]


@pytest.mark.parametrize("columns", [40, 80])
def test_the_screen_is_as_wide_as_the_terminal_and_marks_what_matched(index, columns: int) -> None:
    shown = run("search", str(index), "lighthouse", "--unfold", columns=columns).stdout
    assert max(map(len, shown.splitlines())) <= columns
    assert shown.count("*lighthouse*") == 3
    assert "\x1b" not in shown
    assert "words #1" in shown
    assert "@bob, post, 2024-05-06" in shown
    folded = run("search", str(index), "lighthouse", columns=columns).stdout
    assert "+ 1 near the same (--unfold" in " ".join(folded.split())


def test_a_word_behind_a_dash_is_excluded_wherever_it_stands(index) -> None:
    for arguments in (("lighthouse", "-storm"), ("-storm", "lighthouse"), ("lighthouse -storm",)):
        found = json.loads(run("search", str(index), *arguments, "--json").stdout)
        assert [result["key"] for result in found] == ["3"]


def test_a_second_run_changes_nothing_and_deletions_are_honoured(index, tmp_path) -> None:
    again = run("index", str(tmp_path / "posts.jsonl"), "--out", str(index), "--json")
    assert json.loads(again.stdout)["unchanged"] == 3
    assert "3 acknowledged" in again.stderr
    assert json.loads(run("index", "--out", str(index), "--delete", "author:ann", "--json").stdout)["removed"] == 1
    assert json.loads(run("search", str(index), "from:ann", "--json").stdout) == []
    (tmp_path / "posts.jsonl").write_text(json.dumps(POSTS[2]))
    synced = run("index", str(tmp_path / "posts.jsonl"), "--out", str(index), "--sync", "--json")
    assert json.loads(synced.stdout)["removed"] == 1
    nothing = run("search", str(index), '"took the lighthouse"')
    assert (nothing.stdout, nothing.stderr) == ("", "nothing found\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "{}", "since:yesterday", "x"), "since:yesterday is no date"),
        (("search", "{}", "kind:tweet"), "kind:tweet is unknown"),
        (("search", "{}", "has:photo"), "only has:note is known"),
        (("search", "{}", "-x"), "the query is empty"),
        (("search", "{}", "x", "--cuont", "3"), "no such option: --cuont; did you mean '--count' or"),
        (("search", "{}", "x", "--count", "0"), "count 0: expected 1 or more"),
        (("search", "{}/nothing", "x"), "holds no index"),
        (("index", "{}/nothing", "--out", "{}"), "does not exist"),
        (("index", "--out", "{}"), "nothing to do"),
        (("index", "--out", "{}", "--delete", "key"), "nothing in the index has that key"),
        (("index", "{}", "--out", "s3://bucket/index"), "no place for an index"),
        (("index", "{}", "--out", "{}", "--bad-lines", "maybe"), "expected refuse or skip"),
        (("index", "{}", "--out", "{}", "--embed", "{}"), "without vectors"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(index, arguments: tuple[str, ...], message: str) -> None:
    given = [part for each in arguments for part in each.format(index).split(" ")]
    with pytest.raises(InputError, match=re.escape(message)) as refused:
        run(*given)
    assert "\n" not in str(refused.value)


def test_nothing_is_written_where_an_input_is_missing_or_the_place_is_taken(tmp_path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        run("index", str(tmp_path / "absent"), "--out", str(tmp_path / "index"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="exists and holds no index"):
        run("index", str(tmp_path / "letter.txt"), "--out", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_disk_that_takes_no_more_is_said_in_one_line_and_the_rest_stays(index, tmp_path) -> None:
    posts = [{"id": f"more{number}", "text": f"number {number} " + "word " * 100} for number in range(2_000)]
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, posts)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))  # more is "file too large", as a full disk is "no space"
    try:
        with pytest.raises(InputError, match=r"cannot be written|no space left") as refused:
            run("index", str(tmp_path / "more.jsonl"), "--out", str(index))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(refused.value)
    assert len(json.loads(run("search", str(index), "lighthouse", "--unfold", "--json").stdout)) == 3
    run("index", str(tmp_path / "more.jsonl"), "--out", str(index))
    assert json.loads(run("search", str(index), '"number 1234"', "--json").stdout)[0]["key"] == "more1234"


def test_a_place_that_cannot_be_made_is_refused_in_one_line(tmp_path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match=r"letter\.txt") as refused:
        run("index", str(tmp_path / "letter.txt"), "--out", str(tmp_path / "letter.txt" / "index"))
    assert "\n" not in str(refused.value)

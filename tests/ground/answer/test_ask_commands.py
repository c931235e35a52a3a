"""`kolossos ask` and `kolossos check` as a person uses them."""

import json

import pytest
from typer.testing import CliRunner

from kolossos.cli.main import app
from kolossos.errors import InputError

POSTS = [
    {
        "id": "1",
        "text": "The Ellery footbridge cost 11 million pounds. It opened\x1b[31m in March.",
        "author": "watch",
        "created_at": "2026-03-02",
    },
    {"id": "2", "text": "The mayor of Ellery is Ingrid Solano, a baker.", "author": "ann"},
    {"id": "3", "text": "Only 38 people a day took the ferry in March, the harbour office says."},
]


def run(*arguments: str):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "100"}, catch_exceptions=False)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ask")
    (folder / "posts.jsonl").write_text("\n".join(map(json.dumps, POSTS)))
    assert run("index", str(folder / "posts.jsonl"), "--out", str(folder / "index")).exit_code == 0
    return str(folder / "index")


def test_an_answer_on_the_screen_names_author_date_and_place(index: str) -> None:
    shown = run("ask", "What did the footbridge cost?", "--sources", index, "--least", "0").stdout
    assert "[1] The Ellery footbridge cost 11 million pounds." in shown
    assert "@watch, post, 2026-03-02" in shown
    assert "characters 0-45" in shown
    assert "\x1b" not in shown


def test_an_answer_as_json_goes_to_stdout_alone(index: str) -> None:
    ran = run("ask", "Who is the mayor of Ellery?", "--sources", index, "--least", "0", "--json")
    found = json.loads(ran.stdout)
    assert found["answer"] == "The mayor of Ellery is Ingrid Solano, a baker."
    assert found["quotations"][0]["author"] == "ann"


def test_what_is_not_there_is_said_to_be_not_found(index: str) -> None:
    shown = run("ask", "Who discovered penicillin?", "--sources", index).stdout
    assert shown.startswith("not found in these sources")
    assert "(needed: " in shown


def test_claims_on_the_screen_and_as_json(index: str) -> None:
    text = "The mayor of Ellery is Ingrid Solano, a baker. The Ellery footbridge cost 18 million pounds."
    shown = run("check", text, "--sources", index).stdout
    assert "supported (1.00): The mayor" in shown
    assert shown.splitlines()[-1] == "1 supported, 1 contradicted, 0 not found"
    claims = json.loads(run("check", text, "--sources", index, "--json").stdout)["claims"]
    assert [claim["verdict"] for claim in claims] == ["supported", "contradicted"]


def test_rarities_of_an_index_are_those_of_the_same_passages_in_memory(index: str) -> None:
    from kolossos.ground.index import open_index
    from kolossos.ground.memory import Memory, whole
    from kolossos.ground.source import Source
    from kolossos.ground.words import stems

    memory = Memory(whole(Source(post["id"], "post", post["text"])) for post in POSTS)
    terms = [*dict.fromkeys(stem for post in POSTS for stem in stems(post["text"])), "nowhere"]
    assert open_index(index).rarities(terms) == pytest.approx(memory.rarities(terms))  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", "Who?"], "no sources"),
        (["ask", "--sources", "x"], "give one of"),
        (["ask", "Who?", "--serve", "--sources", "x"], "give one of"),
        (["ask", "--evaluate", "set.json"], "needs --out"),
        (["ask", "Who is it?", "--sources", "/nowhere/at/all"], "/nowhere/at/all"),
        (["ask", "since:never who", "--sources", "/nowhere"], "since:never"),
        (["check", "The bridge is long.", "--sources", "redis://x"], "redis://"),
    ],
)
def test_what_is_wrong_is_one_clear_line(arguments: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        run(*arguments)
    assert len(str(error.value).splitlines()) == 1


def test_an_index_of_another_version_is_said_to_be_one(index: str, tmp_path) -> None:
    import shutil

    copy = tmp_path / "old"
    shutil.copytree(index, copy)
    manifest = next(copy.glob("*.json"))
    found = json.loads(manifest.read_text())
    found["version"] = 999
    manifest.write_text(json.dumps(found))
    with pytest.raises(InputError, match="version") as error:
        run("ask", "Who is it?", "--sources", str(copy))
    assert len(str(error.value).splitlines()) == 1

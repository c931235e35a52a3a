"""Archives, exports and tables become sources, with authors, dates and notes; nothing private, nothing lost."""

import gzip
import io
import json
import tarfile
import zipfile
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.errors import InputError
from kolossos.ground.passages import LONGEST, passages
from kolossos.ground.reading.hypertext import text_of
from kolossos.ground.reading.inputs import known_notes, read_input
from kolossos.ground.reading.options import Gone, Reading, ReadOptions
from kolossos.ground.source import Source

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"


def read(*arguments: Path | str, **options) -> tuple[list[Source | Gone], dict[str, int]]:
    """All sources of some inputs, and what was left out."""
    reading = known_notes([str(a) for a in arguments], Reading(ReadOptions(**options)))
    return [source for argument in arguments for source in read_input(str(argument), reading)], dict(reading.left_out)


def test_an_x_archive_gives_its_owners_posts_and_nothing_else(tmp_path) -> None:
    posts = [
        {"tweet": {"id_str": "11", "full_text": "Fish &amp; chips", "created_at": "Wed Oct 10 20:19:24 +0000 2018"}},
        {"tweet": {"id_str": "12", "full_text": "RT @x: not mine", "created_at": "Wed Oct 10 20:19:24 +0000 2018"}},
    ]
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("data/tweets.js", "window.YTD.tweets.part0 = " + json.dumps(posts))
        archive.writestr("data/deleted-tweets.js", 'window.YTD.deleted_tweets.part0 = [{"tweet": {"id_str": "13"}}]')
        archive.writestr("data/direct-messages.js", 'window.YTD.direct_messages.part0 = [{"dmConversation": {}}]')
    found, left_out = read(tmp_path / "archive.zip", author="@me")
    date = datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC)
    address = "https://x.com/i/status/11"
    assert found == [Source("x:11", "post", "Fish & chips", author="@me", date=date, address=address)]
    assert left_out == {"retweet": 1}


@pytest.mark.parametrize("packing", ["folder", "file", "tar", "zip"])
def test_a_mastodon_archive_gives_public_posts_however_it_is_packed(tmp_path, packing: str) -> None:
    def activity(number: int, to: str, kind: str = "Create") -> dict:
        post = {
            "id": f"https://m.example/{number}",
            "content": "<p>Hello &amp; <b>wel</b>come</p><p>Bye<br>now</p>",
            "published": "2022-01-02T03:04:05Z",
            "attributedTo": "https://m.example/users/eve",
            "to": [to],
            "cc": [],
            "summary": "greeting",
            "contentMap": {"de-AT": "x"},
        }
        return {"type": kind, "object": post if kind == "Create" else f"https://m.example/{number}"}

    items = [activity(1, PUBLIC), activity(2, "https://m.example/users/eve/followers"), activity(3, PUBLIC, "Announce")]
    content = json.dumps({"orderedItems": [*items, activity(9, PUBLIC, "Delete")]}).encode()
    place = tmp_path / {"folder": "export", "file": "outbox.json", "tar": "export.tar.gz", "zip": "export.zip"}[packing]
    if packing == "folder":
        place.mkdir()
        (place / "outbox.json").write_bytes(content)
        (place / "likes.json").write_text("[]")
    elif packing == "file":
        place.write_bytes(content)
    elif packing == "tar":
        with tarfile.open(place, "w:gz") as archive:
            member = tarfile.TarInfo("outbox.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    else:
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr("outbox.json", content)
    found, left_out = read(place)
    key, text = "https://m.example/1", "Hello & welcome\n\nBye\nnow"
    date = datetime(2022, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found == [Source(key, "post", text, "greeting", "eve", date, key, "de"), Gone("https://m.example/9")]
    assert left_out == {"private": 1, "not_own_post": 1}


def test_records_of_bluesky_mastodon_and_the_usual_names_are_posts(tmp_path) -> None:
    records = [
        {"id": 1, "text": "one", "user": {"screen_name": "ann"}, "created_at": 1700000000, "lang": "en-GB"},
        {"$type": "app.bsky.feed.post", "text": "sky", "createdAt": "2023-05-01T00:00:00Z", "langs": ["pt"]},
        {"$type": "app.bsky.feed.like", "subject": {}},
        {"uri": "at://did:plc:a/app.bsky.feed.post/k", "value": {"$type": "app.bsky.feed.post", "text": "listed"}},
        {"id": "7", "content": "<p>status</p>", "account": {"acct": "eve@m"}, "visibility": "public"},
        {"id": "8", "content": "<p>whispered</p>", "account": {"acct": "eve@m"}, "visibility": "direct"},
        {"id": "9", "title": "A page", "body": "of a site", "url": "https://s.example/9"},
        {"id": 1, "deleted": True},
    ]
    with gzip.open(tmp_path / "posts.jsonl.gz", "wt") as file:
        file.write("\n".join(map(json.dumps, records)))
    found, left_out = read(tmp_path / "posts.jsonl.gz")
    told = [(s.key, s.kind, s.text, s.author, s.language) for s in found if isinstance(s, Source)]
    assert told == [
        ("1", "post", "one", "ann", "en"),
        (f"{tmp_path}/posts.jsonl.gz:2", "post", "sky", "", "pt"),
        ("at://did:plc:a/app.bsky.feed.post/k", "post", "listed", "did:plc:a", ""),
        ("7", "post", "status", "eve@m", ""),
        ("9", "document", "of a site", "", ""),
    ]
    assert found[-1] == Gone("1")
    assert found[2].address == "https://bsky.app/profile/did:plc:a/post/k"
    assert left_out == {"not_a_post": 1, "private": 1}


def test_notes_are_sources_and_stand_on_their_posts_with_their_status(tmp_path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    rows = [("5", "1", "False &amp; old", 1_700_000_000_000), ("6", "1", 'Not "needed"', 1_600_000_000_000)]
    lines = ["noteId\ttweetId\tsummary\tcreatedAtMillis\textra"]
    lines += ["\t".join((n, t, '"' + s.replace('"', '""') + '"', str(at), "x")) for n, t, s, at in rows]
    (folder / "notes-00000.tsv").write_text("\n".join(lines) + "\n")
    status = "noteId\tcurrentStatus\n5\tCURRENTLY_RATED_HELPFUL\n"
    (folder / "noteStatusHistory-00000.tsv").write_text(status)
    (tmp_path / "posts.jsonl").write_text('{"id": "1", "text": "A claim"}\n{"id": "2", "text": "Another"}')
    found, _ = read(folder, tmp_path / "posts.jsonl")
    by_key = {source.key: source for source in found if isinstance(source, Source)}
    told = [(note.id, note.text, note.status) for note in by_key["1"].notes]
    assert told == [("6", 'Not "needed"', "NEEDS_MORE_RATINGS"), ("5", "False & old", "CURRENTLY_RATED_HELPFUL")]
    assert by_key["2"].notes == ()
    assert (by_key["note:5"].kind, by_key["note:5"].notes[0].status) == ("note", "CURRENTLY_RATED_HELPFUL")
    (folder / "notes-00000.tsv").write_text("noteId\ttext\n5\tx\n")
    with pytest.raises(InputError, match="Community Notes"):
        read(folder)


def test_documents_carry_their_titles_and_places(tmp_path) -> None:
    (tmp_path / "a.md").write_text("# On whales #\n\nThey sing.")
    (tmp_path / "long_story.txt").write_text("Once.\r\nTwice.")
    found, _ = read(tmp_path)
    assert [(s.title, s.text, s.key) for s in found if isinstance(s, Source)] == [
        ("On whales", "# On whales #\n\nThey sing.", f"{tmp_path}/a.md"),
        ("long story", "Once.\nTwice.", f"{tmp_path}/long_story.txt"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("repo.car", "x", "binary form"),
        ("outbox.json", "{", "is not JSON"),
        ("outbox.json", "{}", "no list orderedItems"),
        ("posts.jsonl", '{"id": 1}', "no key text or full_text or content or body"),
        ("posts.jsonl", "[1]", "a JSON list"),
        ("posts.jsonl", '{"text": "x"', "posts.jsonl:1: not JSON"),
        ("absent.jsonl", None, "does not exist"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as refused:
        read(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_bad_lines_are_skipped_and_counted_where_that_is_asked(tmp_path) -> None:
    (tmp_path / "posts.jsonl").write_text('{"text": "good"}\n{"id": 2}\nnot json\n\n{"text": ""}\n{"text": "too"}')
    found, left_out = read(tmp_path / "posts.jsonl", bad_lines="skip")
    assert [s.text for s in found if isinstance(s, Source)] == ["good", "too"]
    assert left_out == {"bad_line": 2, "no_text": 1}


def test_html_is_read_as_a_browser_shows_it() -> None:
    assert text_of("<p>a</p><script>x</script><p>b &lt;c&gt;</p>") == "a\n\nb <c>"
    assert text_of("plain & simple") == "plain & simple"


@given(st.text(st.sampled_from("ab. \n!。\u3000x"), max_size=60).map(lambda text: text * 60), st.integers(1, 9))
def test_passages_are_in_order_apart_short_and_hold_all_that_is_no_space(text: str, times: int) -> None:
    cut = passages(Source("k", "document", text * times))
    assert all(0 < p.end - p.start <= LONGEST for p in cut)
    assert all(before.end <= after.start for before, after in pairwise(cut))
    assert "".join("".join(p.text.split()) for p in cut) == "".join((text * times).split())

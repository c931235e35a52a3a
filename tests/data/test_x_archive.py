"""Of an archive of X, zipped or not, of any year, the owner's posts are read whole and nothing else."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from kolossos.data.corpus.corpus import Corpus
from kolossos.data.documents.sources import find_source
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError

PRIVATE = "words to nobody else, whoever asks"
LONG = "A long post that goes on and on, with a word for each: " + " ".join(f"word{i}" for i in range(200))
OTHER_LONG = LONG[:150] + " but then it says something else: " + " ".join(f"other{i}" for i in range(200))
LINK = {
    "urls": [{"url": "https://t.co/x", "expanded_url": "https://example.org/a?city=1&region=eu&copy=2&order=3&lt=4"}]
}


def post(text: str, **more: object) -> dict:
    return {"tweet": {"id_str": "1", "full_text": text, **more}}


def note(text: str) -> dict:
    return {"noteTweet": {"noteTweetId": "9", "core": {"text": text, "urls": []}}}


def ytd(name: str, items: list) -> str:
    return f"window.YTD.{name}.part0 = {json.dumps(items)}"


ARCHIVE = {
    "Your archive.html": f"<html>{PRIVATE}",
    "assets/js/main.js": f"// {PRIVATE}",
    "README.txt": PRIVATE,
    "tweets.csv": f"text\n{PRIVATE}\n",
    "data/README.txt": PRIVATE,
    "data/manifest.js": f'window.__THAR_CONFIG = {{"userInfo": "{PRIVATE}"}}',
    "data/account.js": ytd("account", [{"account": {"username": PRIVATE}}]),
    "data/direct-messages.js": ytd("direct_messages", [{"dmConversation": {"text": PRIVATE}}]),
    "data/deleted-tweets.js": ytd("deleted_tweets", [post(PRIVATE)]),
    "data/twitter-circle-tweet.js": ytd("twitter_circle_tweet", [post(PRIVATE)]),
    "data/tweet-headers.js": ytd("tweet_headers", [{"tweet": {"full_text": PRIVATE}}]),
    "data/tweets.js": ytd(
        "tweets",
        [
            post("AT&amp;T &lt;3 and &amp;copy; as written"),
            post("RT @someone: not mine"),
            {"tweet": {"id_str": "5"}},
            post("see https://t.co/x and on", entities=LINK),
            post(LONG[:270] + "… https://twitter.com/i/web/status/9"),
        ],
    ),
    "data/tweets-part1.js": ytd("tweets", [post("@you " + OTHER_LONG[:270] + "… https://t.co/z")]),
    "data/note-tweet.js": ytd("note_tweet", [note(OTHER_LONG), note(LONG), note("A note alone & a link?a=1&region=2")]),
    "data/community-tweet.js": ytd("community_tweet", [post("To the community, in public")]),
}
POSTS = [
    "AT&T <3 and &copy; as written",
    "see https://example.org/a?city=1&region=eu&copy=2&order=3&lt=4 and on",
    LONG,
    OTHER_LONG,
    "A note alone & a link?a=1&region=2",
]


def read(place: Path, tmp_path: Path, **options: object) -> tuple[list[str], Counter[str]]:
    chosen = PrepareOptions(vocab_size=300, val_fraction=0, near_threshold=None, min_chars=1, **options)  # pyright: ignore
    corpus = Corpus.open(prepare([str(place)], tmp_path / "made", chosen, workers=1, overwrite=True).folder)
    split, tokenizer = corpus.split("train"), corpus.tokenizer()
    texts = tokenizer.decode(split.stream(0, split.n_tokens).tolist(), keep_special=True).split("<|endoftext|>")[:-1]
    return texts, Counter(corpus.manifest.dropped)


def zipped(files: dict[str, str], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpacked(files: dict[str, str], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("kind", ["zip", "folder", "inside notes", "zip inside notes", "data alone"])
def test_posts_and_long_posts_whole_and_nothing_else(kind: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    match kind:
        case "zip":
            place = zipped(ARCHIVE, tmp_path / "x.zip")
        case "folder":
            place = unpacked(ARCHIVE, tmp_path / "x")
        case "data alone":
            place = unpacked(ARCHIVE, tmp_path / "x") / "data"
        case "inside notes":
            unpacked(ARCHIVE, notes / "twitter-2024")
            place = notes
        case _:
            zipped(ARCHIVE, notes / "twitter.zip")
            place = notes
    if place == notes:
        (notes / "a.txt").write_text("a note of mine")
    texts, dropped = read(place, tmp_path)
    assert sorted(texts) == sorted([*POSTS, *(["a note of mine"] if place == notes else [])])
    assert dropped == {"no_text": 1, "retweet": 1, "community_posts_not_asked_for": 1}
    texts, dropped = read(place, tmp_path, community_posts=True)
    assert "To the community, in public" in texts
    assert dropped == {"no_text": 1, "retweet": 1}
    assert not any(PRIVATE in text for text in texts)


def test_all_else_of_an_unpacked_archive_is_counted(tmp_path: Path) -> None:
    source = find_source(str(unpacked(ARCHIVE, tmp_path / "x")))
    assert source.not_read == {"private": len(ARCHIVE) - 4}


@pytest.mark.parametrize("zip_it", [True, False])
@pytest.mark.parametrize("prefix", ["", "twitter-2018/", "data/"])
def test_archives_of_earlier_years(zip_it: bool, prefix: str, tmp_path: Path) -> None:
    if prefix == "data/":
        month = [{"id_str": "5", "text": "post of August", "created_at": "2012-08-30 18:27:27 +0000"}]
        files = {
            "data/js/tweets/2012_08.js": "Grailbird.data.tweets_2012_08 = \n " + json.dumps(month),
            "data/js/user_details.js": f'var user_details = {{"bio": "{PRIVATE}"}}',
            "data/js/tweet_index.js": f'var tweet_index = ["{PRIVATE}"]',
            "README.txt": PRIVATE,
            "tweets.csv": f"text\n{PRIVATE}\n",
            "js/application.js": f"// {PRIVATE}",
        }
    else:
        files = {
            f"{prefix}tweet.js": ytd("tweet", [{"full_text": "post of August"}]),
            f"{prefix}direct-message.js": ytd("direct_message", [{"dmConversation": {"text": PRIVATE}}]),
        }
    place = zipped(files, tmp_path / "x.zip") if zip_it else unpacked(files, tmp_path / "x")
    assert read(place, tmp_path)[0] == ["post of August"]


@pytest.mark.parametrize(
    "head",
    [
        "window.YTD.direct_messages.part0 = [",
        "  \n// exported\nwindow.YTD.like.part0=[",
        "/* a */ window . YTD . ad_engagements . part0 = [",
        "'use strict'; window['YTD'] = [",
        "YTD.account.part0 = [",
        "window.YTD.deleted_tweets.part0 = [",
        "window.YTD.deleted_note_tweet.part0 = [",
        "window.YTD.tweet_headers.part0 = [",
        "const user_details = {",
        '[ {"dmConversation": { ',
        '[{ "account" : {',
    ],
)
@pytest.mark.parametrize("name", ["a.js", "a.txt", "a.json", "a", "a.md"])
def test_private_files_under_any_name_are_refused_and_in_a_folder_counted(head: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text(f'{head} {{"text": "{PRIVATE}"}} ]')
    with pytest.raises(InputError, match="a private part of an X archive") as caught:
        find_source(str(tmp_path / "in" / name))
    assert PRIVATE not in str(caught.value)
    (tmp_path / "in" / "note.txt").write_text("a note of mine")
    source = find_source(str(tmp_path / "in"))
    assert ([file.name for file in source.files], source.not_read) == (["note.txt"], {"private": 1})


def test_a_member_that_only_has_the_name_of_posts_is_refused(tmp_path: Path) -> None:
    messages = {"data/tweets.js": ytd("direct_messages", [{"text": PRIVATE, "full_text": PRIVATE}])}
    with pytest.raises(InputError, match=r"does not begin with 'window\.YTD\.tweets\.part0") as caught:
        read(zipped(messages, tmp_path / "x.zip"), tmp_path)
    assert PRIVATE not in str(caught.value)


def test_a_zip_of_something_else_in_a_folder_is_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a note of mine")
    zipped({"src/tweet.js": "export function tweet() {}"}, tmp_path / "in" / "code.zip")
    assert find_source(str(tmp_path / "in")).not_read == {".zip": 1}


def test_short_links_that_begin_alike_stand_for_their_own_addresses(tmp_path: Path) -> None:
    urls = [
        {"url": f"https://t.co/a{'b' * i}", "expanded_url": f"https://example.org/{i}?u=https://t.co/a"}
        for i in range(3)
    ]
    entry = post("https://t.co/a https://t.co/abb https://t.co/ab", entities={"urls": urls})
    texts, _ = read(zipped({"data/tweets.js": ytd("tweets", [entry])}, tmp_path / "x.zip"), tmp_path)
    assert texts == [" ".join(f"https://example.org/{i}?u=https://t.co/a" for i in (0, 2, 1))]

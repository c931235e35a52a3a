"""The files of an X archive: which hold posts, which are private, and what their owner wrote in the posts."""

import html
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from kolossos.data import records
from kolossos.data.document import NO_TEXT, Document, Facts, LeftOut, as_date
from kolossos.errors import InputError

_BEFORE = rb"(?:[\s;(]|/\*.*?\*/|//[^\n]*\n|[\"']use strict[\"'])*"
POST_HEAD = re.compile(
    _BEFORE + rb"(?:window\s*\.\s*YTD\s*\.\s*(?:tweets?|note_tweet|community_tweet)\s*\."
    rb"|Grailbird\s*\.\s*data\s*\.\s*tweets_\d)",
    re.DOTALL,
)
ANY_HEAD = re.compile(
    _BEFORE + rb"(?:window\s*(?:\.\s*|\[\s*[\"'])(?:YTD\b|__THAR_CONFIG)|YTD\s*[.\[]|Grailbird\b"
    rb"|(?:var\s+|let\s+|const\s+)?(?:user_details|payload_details|tweet_index|__THAR_CONFIG)\s*=)"
    # such a file without what stands before its list
    rb"|\s*\[\s*\{\s*\"(?:dmConversation|account|accountSuspension|phoneNumber|deviceToken|ipAudit|follower|following"
    rb"|like|block(?:ing)?|muting|personalization|ageInfo|deletedTweetHeader|ad)\"\s*:\s*\{",
    re.DOTALL,
)

COMMUNITY = "community_posts"
CUT_CHARACTERS = 200  # a long post stands in tweets.js too, cut behind about 270 characters, an ellipsis and a link
CUT_END = re.compile(r"(?:(?:…|\.\.\.)\s*(?:https?://\S+)?|\s+https?://\S+)\s*$")
MENTIONS = re.compile(r"(?:@\w+\s+)*")
# X writes these signs of a text as HTML and no others, so "&copy" or "&region=" in an address are what they say.
WRITTEN_AS_HTML = re.compile(r"&(?:amp|lt|gt|quot|apos|#0?39|#x27);")


def is_post_head(head: bytes) -> bool:
    return POST_HEAD.match(head) is not None


def is_archive_head(head: bytes) -> bool:
    """Whether a file that begins so is a part of an archive, private or not."""
    return ANY_HEAD.match(head) is not None


def read_posts(file: BinaryIO, origin: str, member: str | None) -> Iterator[Document | LeftOut]:
    """What the owner wrote in one file, in its order; retweets are left out."""
    stream = io.TextIOWrapper(file, encoding="utf-8-sig")
    try:
        text = stream.read(records.CHUNK_CHARACTERS)
        before, equals, text = text.partition("=")
        text = text.lstrip()
        if not equals or not is_post_head(before.lstrip("\ufeff").encode()) or not text.startswith("["):
            raise InputError(f"{origin}: does not begin with 'window.YTD.tweets.part0 = ['; not a file of posts")
        only_if_asked = COMMUNITY if "community_tweet" in before else None
        for number, entry in enumerate(records.array_items(stream, origin, text), start=1):
            yield _document(entry, f"{origin}: post {number}", number, member, only_if_asked)
    except UnicodeDecodeError as error:
        raise InputError(f"{origin}: not UTF-8 text; download the archive again") from error


def _document(
    entry: object, origin: str, number: int, member: str | None, only_if_asked: str | None
) -> Document | LeftOut:
    post = entry.get("tweet", entry.get("noteTweet", entry)) if isinstance(entry, dict) else None
    if not isinstance(post, dict):
        return LeftOut(NO_TEXT, origin)
    text = _text_of_note(post) if "core" in post else post_text(post)
    if not text:
        return LeftOut(NO_TEXT, origin)
    if text.startswith("RT @") or "retweeted_status" in post:
        return LeftOut("retweet", origin)
    return Document(text, origin, number, member, _facts(post), only_if_asked)


def _facts(post: dict[str, Any]) -> Facts:
    """Number, address and date of a post; nothing else of what the archive says about it is kept."""
    if "core" in post:  # the number of a long post is not that of the post it stands in
        return Facts(id=_number(post.get("noteTweetId")), date=as_date(post.get("createdAt")))
    number = _number(post.get("id_str") or post.get("id"))
    url = f"https://x.com/i/status/{number}" if number else None
    return Facts(id=number, url=url, date=as_date(post.get("created_at")))


def _number(value: object) -> str | None:
    text = str(value) if isinstance(value, str | int) else ""
    return text if text.isascii() and text.isdecimal() else None


def post_text(post: dict[str, Any]) -> str | None:
    """What the author wrote: HTML undone, then t.co links replaced by the addresses that they stand for."""
    text = post.get("full_text", post.get("text"))
    entities = post.get("entities")
    return _linked(text, entities.get("urls") if isinstance(entities, dict) else None, "url", "expanded_url")


def _text_of_note(note: dict[str, Any]) -> str | None:
    core = note["core"] if isinstance(note["core"], dict) else {}
    return _linked(core.get("text"), core.get("urls"), "shortUrl", "expandedUrl")


def _linked(text: object, links: object, short: str, long: str) -> str | None:
    if not isinstance(text, str):
        return None
    text = WRITTEN_AS_HTML.sub(lambda found: html.unescape(found[0]), text)
    addresses: dict[str, str] = {}
    for link in links if isinstance(links, list) else []:
        old, new = (link.get(short), link.get(long)) if isinstance(link, dict) else ("", "")
        if old and new and isinstance(old, str) and isinstance(new, str):
            addresses[old] = new
    if not addresses:
        return text
    # the longest first, and all at once: one short link may begin as another does, or stand in an address
    shorts = sorted(addresses, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, shorts)), lambda found: addresses[found[0]], text)


class LongPosts:
    """The whole texts of long posts, found by the cut forms of them that stand among the other posts."""

    def __init__(self, notes: Iterable[Document | LeftOut]) -> None:
        self._of_beginning: defaultdict[str, list[Document]] = defaultdict(list)
        self._order: list[Document] = []
        for note in notes:
            if isinstance(note, Document):
                self._of_beginning[_beginning(note.text)].append(note)
                self._order.append(note)

    def whole(self, post: Document) -> Document:
        """``post`` with its whole text if it is the cut form of a long post, else as it is."""
        cut, n_cut = CUT_END.subn("", post.text)
        if not n_cut or len(cut) < CUT_CHARACTERS:
            return post
        known = _plain(cut)
        for note in self._of_beginning.get(_beginning(cut), ()):
            # a cut may end inside a word or a link
            if _plain(note.text).startswith((known, known.rpartition(" ")[0])):
                self._of_beginning[_beginning(cut)].remove(note)
                return replace(post, text=note.text)
        return post

    def left(self) -> list[Document]:
        """Those of which no cut form was met, in order."""
        left = {id(note) for notes in self._of_beginning.values() for note in notes}
        return [note for note in self._order if id(note) in left]


def _plain(text: str) -> str:
    """Without the names that an answer begins with, and with single spaces."""
    return " ".join(MENTIONS.sub("", text, count=1).split())


def _beginning(text: str) -> str:
    return _plain(text)[: CUT_CHARACTERS // 2]

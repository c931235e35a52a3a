"""Questions that a market can ask about a note or a post, and what a status history answers.

A history keeps the first, the current and the latest decided status, not the path between them: a question that it
cannot answer stays open, it is never guessed.
"""

from dataclasses import dataclass

from kolossos.errors import InputError, nearest
from kolossos.notes.score.columns import CRH, CRNH

EVER_HELPFUL, HELPFUL_AT_LOCK, HELPFUL_BY = "EVER_HELPFUL", "HELPFUL_AT_LOCK", "HELPFUL_BY_T"
CRITERIA = (EVER_HELPFUL, HELPFUL_AT_LOCK, HELPFUL_BY)
LOCK_AFTER = 14 * 86_400_000  # ms from a note's creation
LONGEST_TEXT = 10_000  # characters of a post or a note that a market carries


@dataclass(frozen=True)
class History:
    """A note's row of the status history: times in ms, None for never or not known."""

    created: int
    first: str | None = None
    first_at: int | None = None
    latest: str | None = None  # the most recent status that was not "needs more ratings"
    latest_at: int | None = None
    locked: str | None = None
    locked_at: int | None = None


def question(criterion: str, note: str | None = None, by: int | None = None, **about: str) -> dict:
    """A question as a market carries it: ``criterion`` about ``note`` (None: one of several, by outcome), ``by`` a time
    where the criterion has one; ``post``, ``post_text``, ``note_text``, ``author`` for people and bots to read."""
    if criterion not in CRITERIA:
        raise InputError(f"there is no criterion {criterion!r:.60}" + nearest(str(criterion)[:60], CRITERIA))
    if (criterion == HELPFUL_BY) != (by is not None):
        raise InputError(f"{HELPFUL_BY} needs a time, and no other criterion takes one")
    for name, text in about.items():
        if name not in ("post", "post_text", "note_text", "author"):
            raise InputError(f"a question has no field {name!r:.60}")
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            raise InputError(f"{name} is a text of at most {LONGEST_TEXT:,} characters")
    if note is not None and not str(note).isdigit():
        raise InputError(f"{note!r:.60} is no note: its number is needed")
    return {"criterion": criterion, "note": note, "by": by, **about}


def answer(criterion: str, history: History, now: int, by: int | None = None) -> bool | None:
    """Whether it came true; None while the history, as of ``now`` (ms), does not say.

    EVER_HELPFUL: the first status that was not "needs more ratings" is Helpful. HELPFUL_AT_LOCK: the status at two
    weeks is. HELPFUL_BY_T: it was Helpful at some time up to ``by``.
    """
    over = history.locked is not None or now >= history.created + LOCK_AFTER
    if criterion == EVER_HELPFUL:
        if history.first in (CRH, CRNH):
            return history.first == CRH
        return False if over else None
    if criterion == HELPFUL_AT_LOCK:
        if history.locked is not None:
            return history.locked == CRH
        return None
    assert by is not None
    for status, at in ((history.first, history.first_at), (history.latest, history.latest_at)):
        if status == CRH and at is not None and at <= by:
            return True
    if now < by:
        return None
    hidden = history.first is not None and history.first != history.latest and (history.latest_at or 0) > by
    return None if hidden else False  # between the first and the latest it may have been Helpful

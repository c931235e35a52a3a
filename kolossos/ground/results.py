"""What a person sees of a search: results with a snippet each, recency weighed in, and what says the same folded."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from kolossos.errors import InputError
from kolossos.ground.snippet import Snippet, matches, snippet
from kolossos.ground.source import Hit, Query, Searcher
from kolossos.ground.words import words

LOOKED_AT = 50  # hits, at least, among which duplicates are found
LOOKED_AT_FOR_RECENCY = 300
NEAR = 0.8  # Jaccard similarity of two texts' shingles from which they are near duplicates, as in `data prepare`
SHINGLE = 3  # words
LOOSE = re.compile(r"https?://\S+|(?<!\w)@\w+|^RT\b")  # what differs between copies of a post

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Result:
    """A hit as it is shown. ``folded``: hits that say the same, or other passages of its source; they are not shown."""

    hit: Hit
    snippet: Snippet
    matched: tuple[str, ...]
    folded: tuple[Hit, ...] = field(default=())


def find(
    searcher: Searcher,
    query: Query,
    count: int = 10,
    *,
    recency_days: float | None = None,
    fold: bool = True,
    now: datetime | None = None,
) -> list[Result]:
    """The best results first.

    Args:
        recency_days: something new counts twice as much as something old; after so many days half of the difference is
            gone. None: age does not count.
        fold: show only the best of near duplicates and of one source's passages.
        now: the moment from which age is counted.
    """
    if count < 1:
        raise InputError(f"count {count}: expected 1 or more")
    if recency_days is not None and not recency_days > 0:
        raise InputError(f"recency of {recency_days:g} days: expected more than 0")
    depth = max(LOOKED_AT if recency_days is None else LOOKED_AT_FOR_RECENCY, 4 * count)
    hits = searcher.search(query, depth if fold or recency_days is not None else count)
    if recency_days is not None:
        hits = by_recency(hits, recency_days, now or datetime.now(UTC))[: max(LOOKED_AT, 4 * count)]
    groups = folded(hits) if fold else [[hit] for hit in hits]
    return [
        Result(best, snippet(best.passage, query), _matched(best, query), tuple(others))
        for best, *others in groups[:count]
    ]


def by_recency(hits: Iterable[Hit], days: float, now: datetime) -> list[Hit]:
    """Hits with score * (1 + 2^(-age / days)) / 2 as their score, in that order; no date counts as old."""
    made = []
    for hit in hits:
        date = hit.passage.source.date
        age_days = max(0.0, (now - date).total_seconds() / SECONDS_A_DAY) if date else None
        new = 0.0 if age_days is None else 2.0 ** -(age_days / days)
        why = {**hit.why, "age in days": round(age_days, 1)} if age_days is not None else hit.why
        made.append(replace(hit, score=hit.score * (1 + new) / 2, why=why))
    return sorted(made, key=lambda hit: -hit.score)


def folded(hits: Iterable[Hit]) -> list[list[Hit]]:
    """Hits in groups, the best of each first: near duplicates of it, and other passages of its source."""
    groups: list[list[Hit]] = []
    shingles: list[frozenset] = []
    keys: dict[str, int] = {}
    for hit in hits:
        mine = _shingles(hit.passage.text)
        place = keys.get(hit.passage.source.key)
        if place is None:
            place = next((i for i, other in enumerate(shingles) if _near(mine, other)), None)
        if place is None:
            keys[hit.passage.source.key] = len(groups)
            groups.append([hit])
            shingles.append(mine)
        else:
            groups[place].append(hit)
    return groups


def _shingles(text: str) -> frozenset:
    terms = words(LOOSE.sub(" ", text)) or words(text)
    if len(terms) < SHINGLE:
        return frozenset([tuple(terms)])
    return frozenset(zip(*(terms[start:] for start in range(SHINGLE)), strict=False))


def _near(one: frozenset, other: frozenset) -> bool:
    if min(len(one), len(other)) < NEAR * max(len(one), len(other)):
        return False
    common = len(one & other)
    return common >= NEAR * (len(one) + len(other) - common)


def _matched(hit: Hit, query: Query) -> tuple[str, ...]:
    """The different words of the passage that the query asks for, as written, in their order."""
    text = hit.passage.text
    found = (text[start:end].lower() for start, end in matches(text, query, hit.passage.source.language))
    return tuple(dict.fromkeys(found))

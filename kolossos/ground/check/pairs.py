"""A claim beside a sentence of a source, as numbers: how much of it is said, and what is said otherwise.

Only what the two have to do with each other counts, nothing of a claim alone: a model that learnt how false claims
sound would mark claims without reading a source.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from kolossos.ground.answer.contrast import figures, negated, years
from kolossos.ground.answer.cues import words_of
from kolossos.ground.answer.features import Candidate, in_order
from kolossos.ground.answer.items import Words, read_words
from kolossos.ground.answer.question import Question

LEXICAL = (
    "said",  # share of the claim's words, by rarity, in the sentence
    "said in passage",
    "names said",
    "order",  # of the claim's words, in the sentence
    "figures said",  # share of the claim's numbers and years, 1 where it has none
    "other figures",  # numbers in their place that the claim does not have, times how much else is said
    "denied",  # one of the two is a negation, times how much is said
    "opposite",  # the sentence has the opposite of a word of the claim, times how much is said
    "length",  # of the claim, as a share of the sentence's
    "copied",  # nearly all of the claim is said: its share to the fourth
    "other figures, copied",
    "denied, copied",
    "opposite, copied",
)
DENSE = ("alike", "denied, alike", "opposite, alike")


def names_of(dense: bool) -> list[str]:
    """The features in the order of `table`."""
    return [*LEXICAL, *(DENSE if dense else ())]


def table(claim: Question, compared: Sequence[Candidate], texts: Sequence[str], alike: np.ndarray | None) -> np.ndarray:
    """Features [sentences, features] of a claim beside sentences; ``alike``: cosines, where vectors are used."""
    words = read_words(claim.text)
    rows = np.array([_pair(claim, words, c, text) for c, text in zip(compared, texts, strict=True)], float)
    rows = rows.reshape(len(compared), len(LEXICAL) + 2)
    plain, signs = rows[:, : len(LEXICAL)], rows[:, len(LEXICAL) :]
    return plain if alike is None else np.column_stack([plain, alike, signs * alike[:, None]])


def _pair(claim: Question, words: Words, c: Candidate, text: str) -> list[float]:
    """The lexical features, then whether it is denied and whether it says the opposite."""
    weight = dict(zip(claim.stems, claim.weights, strict=True))
    own = frozenset(c.words.stems)
    said = sum(value for stem, value in weight.items() if stem in own)
    mine, theirs = figures(claim.text) | years(claim.text), figures(text) | years(text)
    shared = len(mine & theirs) / len(mine) if mine else 1.0
    clash = float(bool(mine - theirs) and bool(theirs - mine))
    denied = float(negated(words) != negated(c.words, weight.keys()))
    opposite = float(_opposite({word.lower() for word in words.surface}, c))
    return [
        said,
        sum(value for stem, value in weight.items() if stem in c.passage),
        len(claim.names & own) / len(claim.names) if claim.names else 0.5,
        in_order(claim, c.words),
        shared,
        clash * said,
        denied * said,
        opposite * said,
        min(1.0, len(claim.stems) / max(1, len(own))),
        said**4,
        clash * said**4,
        denied * said**4,
        opposite * said**4,
        denied,
        opposite,
    ]


def _opposite(mine: set[str], c: Candidate) -> bool:
    theirs = {word.lower() for word in c.words.surface}
    pairs = _opposites()
    return any(pairs.get(word, frozenset()) & theirs and word not in theirs for word in mine)


@cache
def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in words_of("opposites"):
        one, other = pair.split(":")
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}

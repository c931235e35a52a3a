"""How well a sentence fits a question, as numbers between about 0 and 1: what a small model then weighs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kolossos.ground.answer.items import Words, is_number, items
from kolossos.ground.answer.question import KINDS, Question

REACH = 6.0  # words over which nearness to an item falls to 1/e

LEXICAL = (
    "said",  # share of the question's words, by rarity, that the sentence has
    "said nearby",  # or the sentence before or after
    "said in passage",  # or its passage or title
    "pairs",  # neighbouring words of the question that stand close together
    "names said",
    "names in passage",
    "rarest missing",  # weight of the rarest word that the passage does not have
    "fits",  # something of the kind asked for that the question does not say itself
    "near",  # the question's words close to that
    "focus",  # "forced fumbles" of how many forced fumbles, next to a number
    "new",  # share of words that the question does not have
    "length",
    "first",  # first sentence of its passage
    "rank",  # of its passage among those found
    "order",  # the question's words in the question's order
)
DENSE = ("alike", "alike passage", "alike best")  # cosines: sentence, mean of passage, share of the best sentence's
TYPED = ("said", "fits", "near", "new", "length")  # weighed anew for every kind of question


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of the passages found, as it is compared."""

    words: Words
    around: frozenset[str]  # stems of the sentences before and after, and its own
    passage: frozenset[str]  # stems of passage and title
    first: bool
    rank: int  # of the passage, from 1
    group: int  # its passage


def names_of(dense: bool) -> list[str]:
    """The features, in the order of `table`."""
    plain = [*LEXICAL, *(DENSE if dense else ())]
    return plain + [f"{kind}: {name}" for kind in KINDS for name in TYPED]


def table(question: Question, candidates: Sequence[Candidate], alike: np.ndarray | None) -> np.ndarray:
    """Features [candidates, features]; ``alike``: cosines of question and sentences, where vectors are used."""
    rows = np.array([_lexical(question, c) for c in candidates]).reshape(len(candidates), len(LEXICAL))
    if alike is not None and len(candidates):
        groups = np.array([c.group for c in candidates])
        means = np.array([alike[groups == group].mean() for group in groups])
        rows = np.column_stack([rows, alike, means, alike - alike.max()])
    typed = rows[:, [LEXICAL.index(name) for name in TYPED]]
    kinds = np.array([kind == question.kind for kind in KINDS], float)
    return np.column_stack([rows, *(typed * here for here in kinds)])


def _lexical(question: Question, c: Candidate) -> list[float]:
    own = frozenset(c.words.stems)
    weight = dict(zip(question.stems, question.weights, strict=True))
    missing = [weight[stem] for stem in question.stems if stem not in c.passage]
    new = [stem for stem in c.words.stems if stem and stem not in weight]
    fitting = [at for at in items(c.words, question.kind) if c.words.stems[at] not in weight]
    names = question.names
    return [
        _share(weight, own),
        _share(weight, c.around),
        _share(weight, c.passage),
        _pairs(question, c.words),
        len(names & own) / len(names) if names else 0.5,
        len(names & c.passage) / len(names) if names else 0.5,
        max(missing, default=0.0) * math.sqrt(len(weight)),
        min(1.0, len(fitting) / 2),
        _near(weight, c.words, fitting),
        _focus(question, c.words),
        len(new) / (len(new) + 6),
        min(1.0, len(c.words.surface) / 60),
        float(c.first),
        1 / c.rank,
        in_order(question, c.words),
    ]


def _share(weight: dict[str, float], stems: frozenset[str]) -> float:
    return sum(value for stem, value in weight.items() if stem in stems)


def _pairs(question: Question, words: Words) -> float:
    places = _places(words)
    pairs = list(zip(question.stems, question.stems[1:], strict=False))
    close = sum(
        any(abs(i - j) <= 3 for i in places[a] for j in places[b]) for a, b in pairs if a in places and b in places
    )
    return close / len(pairs) if pairs else 0.0


def _near(weight: dict[str, float], words: Words, fitting: list[int]) -> float:
    """The best, over what fits, of the question's words weighed by how near they stand to it."""
    places = _places(words)
    said = [(places[stem], value) for stem, value in weight.items() if stem in places]
    return max(
        (sum(v * math.exp(-min(abs(at - i) for i in where) / REACH) for where, v in said) for at in fitting),
        default=0.0,
    )


def _focus(question: Question, words: Words) -> float:
    if not question.focus:
        return 0.0
    found = question.focus & set(words.stems)
    if question.kind != "count":
        return len(found) / len(question.focus)
    near = {
        stem
        for at, word in enumerate(words.surface)
        if is_number(word)
        for stem in words.stems[at + 1 : at + 5]
        if stem in found
    }
    return len(near) / len(question.focus)


def in_order(question: Question, words: Words) -> float:
    """Longest run of the question's words that the sentence has in the same order, as a share of them."""
    wanted = {stem: at for at, stem in enumerate(question.stems)}
    tails: list[int] = []
    for stem in words.stems:
        if (at := wanted.get(stem)) is None:
            continue
        spot = next((i for i, tail in enumerate(tails) if tail >= at), len(tails))
        tails[spot : spot + 1] = [at]
    return len(tails) / len(wanted) if wanted else 0.0


def _places(words: Words) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for at, stem in enumerate(words.stems):
        if stem:
            places.setdefault(stem, []).append(at)
    return places

"""A text's claims, each looked up in the sources: what they say of it, and where."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.ground.answer.answer import Quotation
from kolossos.ground.answer.ask import OTHER_ENCODER, PASSAGES
from kolossos.ground.answer.candidates import candidates, evidence
from kolossos.ground.answer.features import Candidate
from kolossos.ground.answer.instructions import asks
from kolossos.ground.answer.items import is_name, read_words
from kolossos.ground.answer.question import Question, read_question
from kolossos.ground.answer.sentences import sentences
from kolossos.ground.answer.vectors import Cosines
from kolossos.ground.check.pairs import LEXICAL, table
from kolossos.ground.check.verdict import (
    VERDICTS,
    ClaimWeights,
    closest_first,
    read_claim_weights,
    summary,
)
from kolossos.ground.source import Hit, Passage, Query, Searcher
from kolossos.ground.words import words

SUPPORTED, CONTRADICTED, NOT_FOUND = VERDICTS
LEAST_WORDS = 2  # that mean something, for a sentence to be a claim
QUOTED = 2
LEAST_STANCE = 0.5  # of a sentence by itself, to be quoted beside the first
LEAST_SAID = 0.5  # of the claim, by one that says otherwise
LONGEST_TEXT = 200_000  # characters
_PRONOUNS = frozenset(
    ["he", "she", "it", "they", "this", "these", "that", "those", "his", "her", "its", "their", "him", "them"]
)


@dataclass(frozen=True, slots=True)
class Claim:
    """Characters [start, end) of a text, and what the sources say of it.

    probabilities: as VERDICTS are. stances: what each quotation says of the claim by itself, in the same words.
    """

    text: str
    start: int
    end: int
    verdict: str
    probabilities: tuple[float, float, float]
    quotations: tuple[Quotation, ...]
    stances: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "claim": self.text,
            "start": self.start,
            "end": self.end,
            "verdict": self.verdict,
            "probabilities": {v: round(p, 4) for v, p in zip(VERDICTS, self.probabilities, strict=True)},
            "quotations": [
                {"stance": stance, **q.to_json()} for stance, q in zip(self.stances, self.quotations, strict=True)
            ],
        }


@dataclass(frozen=True)
class Compared:
    """A claim with the sentences that were found for it: features [sentences, features]."""

    claim: Question
    sentences: list[Passage]
    compared: list[Candidate]
    rows: np.ndarray


class Checker:
    """Checks texts against whatever a Searcher searches."""

    def __init__(self, searcher: Searcher, encoder: Any = None, weights: ClaimWeights | None = None) -> None:
        """``encoder``: for vectors of sentences; None compares by words alone."""
        self.searcher = searcher
        self.encoder = encoder
        self._cosines = Cosines(encoder) if encoder is not None else None
        self.weights = weights or read_claim_weights(encoder is not None)
        known = getattr(encoder, "identity", self.weights.encoder) == self.weights.encoder
        self.remarks = () if known else (OTHER_ENCODER,)

    def check(self, text: str) -> list[Claim]:
        """The claims of ``text`` in order; InputError if it has none."""
        if len(text) > LONGEST_TEXT:
            raise InputError(f"the text has {len(text):,} characters; at most {LONGEST_TEXT:,} are checked")
        found = [
            self._verdict(text, start, end, self.compare(text[start:end], about)) for start, end, about in _claims(text)
        ]
        if not found:
            raise InputError("the text holds no claim: no sentence of a few words that is not a question")
        return found

    def compare(self, claim: str, about: str = "", hits: list[Hit] | None = None) -> Compared:
        """A claim beside every sentence found for it. ``about``: words that are searched for, too."""
        query = Query(f"{claim} {about}".strip())
        kept, _ = evidence("", self.searcher.search(query, PASSAGES) if hits is None else hits)
        found, compared = candidates(kept)
        told = [at for at, sentence in enumerate(found) if not asks(sentence.text)]
        found, compared = [found[at] for at in told], [compared[at] for at in told]
        question = read_question(claim, "en", getattr(self.searcher, "rarities", None))
        alike = self._cosines.of(claim, [s.text for s in found]) if self._cosines else None
        return Compared(question, found, compared, table(question, compared, [s.text for s in found], alike))

    def _verdict(self, text: str, start: int, end: int, compared: Compared) -> Claim:
        claim = text[start:end]
        same = [s for s in compared.sentences if _says(s, claim) and not Quotation(s.source, s.start, s.end).notes]
        if same:
            quoted = _quoted(same)
            return Claim(claim, start, end, SUPPORTED, (1.0, 0.0, 0.0), quoted, (SUPPORTED,) * len(quoted))
        if not compared.sentences:
            return Claim(claim, start, end, NOT_FOUND, (0.0, 0.0, 1.0), (), ())
        dense = self.encoder is not None
        pairs = self.weights.pair.of(compared.rows)
        chances = self.weights.claim.of(summary(compared.rows, pairs, dense))
        which = int(chances.argmax())
        near = closest_first(compared.rows, dense)[: 2 * PASSAGES]
        order = near if VERDICTS[which] == NOT_FOUND else near[np.argsort(-pairs[near, which], kind="stable")]
        said = [at for place, at in enumerate(order) if place == 0 or pairs[at, which] >= LEAST_STANCE]
        quoted = _quoted([compared.sentences[at] for at in said])
        places = {(s.source.key, s.start): at for at, s in enumerate(compared.sentences)}
        stances = [VERDICTS[int(pairs[places[q.source.key, q.start]].argmax())] for q in quoted]
        if which < VERDICTS.index(NOT_FOUND):
            against = [at for at in near if _says_otherwise(compared.rows[at], pairs[at], 1 - which)]
            for quotation in _quoted([compared.sentences[at] for at in against])[:1]:
                if quotation not in quoted:
                    quoted, stances = (*quoted, quotation), [*stances, VERDICTS[1 - which]]
        supported, contradicted, none = map(float, chances)
        if VERDICTS[which] == SUPPORTED and _noted(quoted, stances):
            which, supported, contradicted = VERDICTS.index(CONTRADICTED), contradicted, supported
        return Claim(claim, start, end, VERDICTS[which], (supported, contradicted, none), quoted, tuple(stances))


def _noted(quoted: Sequence[Quotation], stances: Sequence[str]) -> bool:
    """Whether all that supports is in posts with Helpful notes, and such a note says otherwise: it outweighs them."""
    told = list(zip(quoted, stances, strict=True))
    posts = [quotation for quotation, stance in told if stance == SUPPORTED]
    notes = [note.text for quotation in posts for note in quotation.notes]
    against = [quotation.text for quotation, stance in told if stance == CONTRADICTED]
    return all(quotation.notes for quotation in posts) and any(text in note for text in against for note in notes)


def _says_otherwise(row: np.ndarray, pair: np.ndarray, verdict: int) -> bool:
    """Whether a sentence about the claim has the other verdict by itself, or another number in the place of its own."""
    clash = row[LEXICAL.index("other figures")] > 0
    likely = pair[verdict] >= LEAST_STANCE
    otherwise = (clash or likely) if VERDICTS[verdict] == CONTRADICTED else (likely and not clash)
    return bool(row[LEXICAL.index("said")] >= LEAST_SAID and otherwise)


def _claims(text: str) -> Iterator[tuple[int, int, str]]:
    """Places of sentences that claim something, with the names that a pronoun at their beginning may stand for."""
    names = ""
    for start, end in sentences(text):
        found = read_words(text[start:end])
        begins = found.surface[0].lower() if found.surface else ""
        about = names if begins in _PRONOUNS else ""
        here = " ".join(found.surface[at] for at in range(len(found.surface)) if is_name(found, at))
        names = here or names
        if text[start:end].rstrip("\"'”’»)").endswith("?") or sum(map(bool, found.stems)) < LEAST_WORDS:
            continue
        yield start, end, about


def _says(sentence: Passage, claim: str) -> bool:
    """Whether a sentence is the claim, word for word."""
    return words(sentence.text) == words(claim)


def _quoted(found: list[Passage]) -> tuple[Quotation, ...]:
    distinct = {tuple(words(s.text)): Quotation(s.source, s.start, s.end) for s in reversed(found)}
    kept = set(distinct.values())
    return tuple(q for s in found if (q := Quotation(s.source, s.start, s.end)) in kept)[:QUOTED]

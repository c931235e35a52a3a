"""Claims with their verdicts: CLIMATE-FEVER's, and claims made of XQuAD's sentences.

CLIMATE-FEVER (tdiggelm/climate-fever-dataset, Diggelmann et al. 2020) has no licence file: it is read where it lies and
no text of it is kept. Its halves: claims whose sha256 begins with an even byte were fitted on, the others never.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from kolossos.ground.answer.sentences import sentences
from kolossos.ground.check.claims import CONTRADICTED, NOT_FOUND, SUPPORTED
from kolossos.ground.measure.sets import QuestionSet, is_tuning
from kolossos.ground.source import Source

LABELS = {"SUPPORTS": SUPPORTED, "REFUTES": CONTRADICTED, "NOT_ENOUGH_INFO": NOT_FOUND}
EVERY = 3  # sentences of XQuAD of which one becomes a claim
_VERB = re.compile(r"\b(?:is|was|are|were|has|had|can|could|will|would)\b")
_NUMBER = re.compile(r"(?<![\w.,])\d{1,4}(?![\w,]|\.\d)")


@dataclass(frozen=True)
class Labelled:
    """``evidence``: verdict by key of a source, of those that were looked at. ``away``: keys not to be searched."""

    claim: str
    verdict: str
    tuning: bool
    evidence: dict[str, str]
    away: frozenset[str] = frozenset()


def climate_fever(path: Path) -> tuple[list[Source], list[Labelled]]:
    """Every evidence sentence as a source, and the claims with one of three labels (DISPUTED left out)."""
    sources: dict[str, Source] = {}
    claims = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        evidence = {}
        for given in row["evidences"]:
            text = given["evidence"]
            source = sources.setdefault(text, Source(given["evidence_id"], "document", text, title=given["article"]))
            evidence[source.key] = LABELS[given["evidence_label"]]
        if row["claim_label"] in LABELS:
            tuning = sha256(row["claim"].encode()).digest()[0] % 2 == 0
            claims.append(Labelled(row["claim"], LABELS[row["claim_label"]], tuning, evidence))
    unique = {source.key: source for source in sources.values()}
    return list(unique.values()), claims


def altered(questions: QuestionSet) -> Iterator[Labelled]:
    """Of a third of all sentences: a shortened one (supported), one with another number or a negation (contradicted),
    and one whose article is taken away (not found)."""
    groups: dict[str, list[str]] = {}
    for source in questions.sources:
        groups.setdefault(source.key.rpartition("/")[0], []).append(source.key)
    for source in questions.sources:
        group = source.key.rpartition("/")[0]
        for start, end in sentences(source.text):
            text = source.text[start:end]
            chance = random.Random(sha256(text.encode()).digest())
            if chance.randrange(EVERY) or len(text.split()) < 6:
                continue
            tuning, here = is_tuning(group), {source.key: SUPPORTED}
            kind = chance.randrange(3)
            if kind == 0:
                yield Labelled(_shortened(text), SUPPORTED, tuning, here)
            elif kind == 1 and (wrong := _wrong(text, chance)):
                yield Labelled(wrong, CONTRADICTED, tuning, {source.key: CONTRADICTED})
            elif kind == 2:
                yield Labelled(text, NOT_FOUND, tuning, {}, frozenset(groups[group]))


def _shortened(text: str) -> str:
    """Without its last clause, or its last quarter."""
    cut = text.rfind(", ")
    parts = text.split()
    return f"{text[:cut]}." if cut > len(text) * 0.5 else f"{' '.join(parts[: max(4, len(parts) * 3 // 4)])}."


def _wrong(text: str, chance: random.Random) -> str:
    """With another number, or the opposite by a negation; nothing where neither can be made."""
    numbers = list(_NUMBER.finditer(text))
    if numbers and chance.random() < 0.6:
        found = chance.choice(numbers)
        value = int(found[0])
        other = value + chance.choice([-3, -2, 2, 3, 7]) if value > 3 else value + chance.choice([2, 3, 5])
        return text[: found.start()] + str(other) + text[found.end() :]
    if verb := _VERB.search(text):
        return f"{text[: verb.end()]} not{text[verb.end() :]}"
    return ""

"""What a question asks for: its words with how rare each is, its names, and the kind of thing that answers it.

The kinds are found by English cue words; a question of another language is of the kind "thing", for which words,
places and vectors decide alone.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kolossos.ground.answer.cues import words_of
from kolossos.ground.words import forms_of, spans

KINDS = ("count", "date", "person", "place", "reason", "manner", "thing")

_UNITS = r"percent\w*|number|population|amount|rate|size|cost|price|length|height|distance|age|score|total|area|speed"
_TIMES = r"year|date|day|month|century|decade|era|time|season"
_PLACES = r"country|city|state|place|location|region|continent|town|river|island|area|county|nation|building|street"
_CUES = (  # in order: the first that is found decides
    ("count", rf"\bhow (?:many|much|long|far|old|tall|large|big|high|fast|often|deep|wide|few)\b"
              rf"|\b(?:what|which) (?:\w+ ){{0,2}}?(?:{_UNITS})\b"
              rf"|\bwhat (?:did|does|do|will|would) .*\b(?:cost|weigh|measure|pay|paid|earn)\b"
              rf"|\b(?:what|which) (?:is|was|were|are) the (?:\w+ ){{0,2}}?(?:{_UNITS})\b"),
    ("date", rf"\bwhen\b|\b(?:what|which) (?:\w+ )?(?:{_TIMES})s?\b"),
    ("person", r"\bwho(?:m|se)?\b|\b(?:what|which) (?:\w+ )?(?:person|people|player|actor|singer|scientist|king|queen"
               r"|president|author|man|woman|name|leader|team|company|group|artist|emperor|ruler|director|coach)s?\b"),
    ("place", rf"\bwhere\b|\b(?:what|which) (?:\w+ )?(?:{_PLACES})s?\b"),
    ("reason", r"\bwhy\b|\b(?:what|which) (?:\w+ )?(?:reason|cause|purpose|motive)s?\b|\bwhat (?:caused|led|made)\b"),
    ("manner", r"\bhow\b"),
)  # fmt: skip
_PATTERNS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _CUES)
_FUNCTIONS = frozenset(words_of("functions"))


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it is compared with sentences. ``stems`` are in order, once each; ``weights`` add up to 1."""

    text: str
    kind: str
    stems: tuple[str, ...]
    weights: tuple[float, ...]
    names: frozenset[str]  # stems of what is written large or in figures
    focus: frozenset[str]  # stems of the words right after the asking one: how many "forced fumbles"


def read_question(
    text: str, language: str = "en", rarities: Callable[[Sequence[str]], Sequence[float]] | None = None
) -> Question:
    """``text`` as a question. ``rarities`` gives the idf of stems; without it all words weigh the same."""
    words = [text[start:end] for start, end in spans(text)]
    stems = ["" if word.lower() in _FUNCTIONS else stem_of(word, language) for word in words]
    if not any(stems):
        stems = [stem_of(word, language) for word in words]
    order = tuple(dict.fromkeys(stem for stem in stems if stem))
    known = rarities(order) if rarities and order else [1.0] * len(order)
    total = sum(known) or 1.0
    names = {
        stem
        for at, (word, stem) in enumerate(zip(words, stems, strict=True))
        if stem and ((at > 0 and word[:1].isupper()) or word[:1].isdigit()) and word.lower() not in _FUNCTIONS
    }
    return Question(
        text=text,
        kind=next((kind for kind, pattern in _PATTERNS if pattern.search(text)), "thing"),
        stems=order,
        weights=tuple(weight / total for weight in known),
        names=frozenset(names),
        focus=frozenset(_focus(words, stems)),
    )


def stem_of(word: str, language: str = "en") -> str:
    """The stem of one word; nothing for a function word."""
    return next(iter(sorted(forms_of(word, (language,)))), "")


def _focus(words: list[str], stems: list[str]) -> list[str]:
    for at, word in enumerate(words):
        if word.lower() in ("many", "much", "what", "which"):
            found = []
            for stem in stems[at + 1 : at + 4]:
                if not stem:
                    break
                found.append(stem)
            return found
    return []

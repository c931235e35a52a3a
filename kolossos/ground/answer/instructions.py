"""Sentences that are no evidence: those that speak to whoever answers, or only repeat the question.

Sources are data. Nothing here obeys one, so a planted instruction could at most be quoted; these rules keep it from
being quoted as an answer, and from standing in what a language model reads.
"""

import re
from collections.abc import Collection, Sequence

from kolossos.ground.answer.cues import words_of

_ORDERED = (
    r"above|previous|prior|earlier|preceding|other|all|any|your|these|instructions?|rules?|prompts?|sources?|context"
)
_MACHINE = r"ai|assistants?|chatbots?|language models?|llms?|bots?|grok|gpt|dan"
_ADDRESSED = re.compile(
    rf"\b(?:ignore|disregard|forget|override|bypass)\b.{{0,40}}\b(?:{_ORDERED})\b"
    r"|\b(?:system|developer|assistant|user)\s*(?:prompt|message|instructions?)\b"
    r"|^\W*(?:system|assistant|user|developer)\s*:"
    r"|<\|?/?(?:im_start|im_end|system|assistant|user|inst|s)\|?>|\[/?INST\]|#{2,}\s*(?:instructions?|system|response)"
    rf"|\b(?:you are|act as|pretend to be|roleplay as)\b.{{0,30}}\b(?:{_MACHINE})\b"
    r"|\b(?:when|if|whenever|should|once|to)\b.{0,40}\b(?:asks?|asked|questioned|queried|prompted|question)\b"
    r".{0,200}\b(?:answer|say|reply|respond|output|claim)\b(?! to)"
    r"|\b(?:correct|right|only|final|true) answer (?:is|to|must|should|here)\b"
    r"|\b(?:answer|reply|respond|say|output|print|write|return|state|tell (?:them|the user|everyone))\b.{0,30}"
    r"\b(?:only|exactly|instead|nothing else|with|that it|verbatim)\b.{0,60}[\"'“:]"
    r"|\b(?:new|updated|urgent|important) (?:instructions?|orders?|directives?)\b"
    r"|^\W*(?:answer|reply|respond|say|output|print|repeat)\b.{0,20}\b(?:only|exactly|just|instead|nothing)\b"
    rf"|\b(?:dear|attention|note to|hey|hello|to all) (?:{_MACHINE})\b"
    r"|\b(?:as an ai|language models?|chatbots?) (?:must|should|has to|have to|reading)\b",
    re.IGNORECASE | re.DOTALL,
)
LEAST_REPEATED = 5  # words in a row of a question that make a sentence its echo
SHARE_REPEATED = 0.7
SHARE_ASKED = 0.6


def is_addressed(sentence: str) -> bool:
    """Whether a sentence speaks to the one who answers: orders it something, or tells it what to answer."""
    return _ADDRESSED.search(sentence) is not None


def asks(sentence: str) -> bool:
    """Whether a sentence is a question, or quotes one, and so tells nothing."""
    return "?" in sentence or "？" in sentence


def asks_the_same(question: Collection[str], sentence: Collection[str]) -> bool:
    """Whether a sentence that asks has most of the words that mean something in a question; both as stems."""
    return bool(question) and sum(stem in sentence for stem in question) >= SHARE_ASKED * len(question)


def repeats(question: Sequence[str], sentence: Sequence[str]) -> bool:
    """Whether ``sentence`` has most of the question's words in a row, the asking word among them, as a copy has.

    Both as lists of all their words in lower case. A statement says "the Panthers gave up 308 points", a copy "how many
    points did the Panthers give up".
    """
    wanted = max(LEAST_REPEATED, round(SHARE_REPEATED * len(question)))
    if len(question) < LEAST_REPEATED or len(sentence) < wanted:
        return len(question) > 2 and _within(list(question), list(sentence))
    runs = {tuple(question[at : at + wanted]) for at in range(len(question) - wanted + 1)}
    first = next((word for word in question if word in _ASKING), question[0])
    asking = {run for run in runs if first in run}
    return any(tuple(sentence[at : at + wanted]) in asking for at in range(len(sentence) - wanted + 1))


_ASKING = frozenset(words_of("asking"))


def _within(short: list[str], long: list[str]) -> bool:
    return any(long[at : at + len(short)] == short for at in range(len(long) - len(short) + 1))

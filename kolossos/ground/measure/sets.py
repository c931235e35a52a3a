"""Questions with their gold answers: SQuAD's layout (also with impossible questions), or JSONL."""

import json
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.ground.source import Source
from kolossos.ground.words import words

_ARTICLES = ("a", "an", "the")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a set. ``gold``: texts that answer it, none if nothing does. ``source``: the key of the text that
    holds them; ``at``: where, or -1. ``group``: what is taken away together (an article)."""

    id: str
    question: str
    gold: tuple[str, ...]
    source: str = ""
    at: int = -1
    group: str = ""


@dataclass(frozen=True)
class QuestionSet:
    """Questions, and the texts they are about where the set carries them."""

    name: str
    questions: tuple[Asked, ...]
    sources: tuple[Source, ...] = field(default=())


def read_set(path: Path) -> QuestionSet:
    """The set in ``path``; InputError where it is neither of the layouts."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("data"), list):
        read = _squad(path, whole["data"])
    else:
        read = QuestionSet(path.name, tuple(_lines(path, text)))
    if not read.questions:
        raise InputError(f"{path} holds no question; SQuAD's layout or JSONL with question and answers is needed")
    return read


def is_tuning(group: str) -> bool:
    """Whether an article belongs to the half that weights were fitted on: first byte of its title's sha256 is even."""
    return sha256(group.encode()).digest()[0] % 2 == 0


def holds(text: str, gold: tuple[str, ...]) -> bool:
    """Whether ``text`` has one of ``gold`` in it as whole words, case, punctuation and articles aside (as SQuAD)."""
    said = f" {_plain(text)} "
    return any(f" {plain} " in said for answer in gold if (plain := _plain(answer)))


def _plain(text: str) -> str:
    if not text.isascii():
        return " ".join(word for word in words(text) if word not in _ARTICLES)
    bare = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(word for word in bare.split() if word not in _ARTICLES)


def _squad(path: Path, articles: list[Any]) -> QuestionSet:
    sources, questions = [], []
    try:
        for article in articles:
            title = str(article.get("title", ""))
            for number, paragraph in enumerate(article["paragraphs"]):
                key = f"{title}/{number}"
                sources.append(Source(key, "document", paragraph["context"], title=title.replace("_", " ")))
                for asked in paragraph["qas"]:
                    answers = [] if asked.get("is_impossible") else asked["answers"]
                    gold = tuple(dict.fromkeys(str(answer["text"]) for answer in answers))
                    at = int(answers[0].get("answer_start", -1)) if answers else -1
                    questions.append(Asked(str(asked["id"]), asked["question"], gold, key, at, title))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path} is not in SQuAD's layout: {type(error).__name__} {error}") from None
    return QuestionSet(path.name, tuple(questions), tuple(sources))


def _lines(path: Path, text: str) -> Iterator[Asked]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            given = row["answers"]
            gold = (given,) if isinstance(given, str) else tuple(map(str, given))
            asked = row["question"]
            if not isinstance(asked, str) or not asked.strip():
                raise TypeError("question is no text")
            at = row.get("at", -1)
            yield Asked(
                str(row.get("id", number)), asked, gold, str(row.get("source", "")), int(at), str(row.get("group", ""))
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f'{path} line {number}: {{"question": "...", "answers": ["..."]}} is needed, with "source" and "group" '
                f"where they are known ({type(error).__name__}: {error})"
            ) from None

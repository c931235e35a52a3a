"""Log-probabilities of tokens, in the two shapes that chat and completions have for them."""

from collections.abc import Iterable, Sequence
from typing import Any

from kolossos.data.tokenizer import StreamDecoder, Tokenizer
from kolossos.serve.engine.request import Scored
from kolossos.serve.http.answers import Placed

LEAST = -9999.0
"""Stands for minus infinity, which JSON has no number for."""


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """The text of one token: its name for a special one, and for a part of a character its bytes, ``bytes:\\xf0``."""
    raw = tokenizer.token_bytes(token, keep_special=True)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def chat_logprobs(tokenizer: Tokenizer, placed: Iterable[Placed]) -> dict[str, Any]:
    """The shape of /v1/chat/completions. ``bytes``: the token's own; null for a special one, which has no text."""

    def one(token: int, logprob: float) -> dict[str, Any]:
        raw = None if tokenizer.is_special(token) else list(tokenizer.token_bytes(token))
        return {"token": token_text(tokenizer, token), "logprob": finite(logprob), "bytes": raw}

    content = [
        one(p.token, p.scored.logprob) | {"top_logprobs": [one(*top) for top in p.scored.top]}
        for p in placed
        if p.scored is not None
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(
    tokenizer: Tokenizer, scored: Sequence[tuple[int, Scored | None]], offsets: Sequence[int]
) -> dict[str, Any]:
    """The shape of /v1/completions: four lists with an entry a token; null for a text's first token.

    The likeliest tokens are an object by their text, with the token itself always among them.
    """
    tops: list[dict[str, float] | None] = []
    for token, one in scored:
        found: dict[str, float] | None = None
        if one is not None:
            found = {}
            for other, logprob in (*one.top, (token, one.logprob)):
                found.setdefault(token_text(tokenizer, other), finite(logprob))
        tops.append(found)
    return {
        "tokens": [token_text(tokenizer, token) for token, _ in scored],
        "token_logprobs": [None if one is None else finite(one.logprob) for _, one in scored],
        "top_logprobs": tops,
        "text_offset": list(offsets),
    }


def offsets(tokenizer: Tokenizer, tokens: Iterable[int]) -> list[int]:
    """How many characters stand before each token of a text that begins."""
    decoder, at, found = StreamDecoder(tokenizer, begins=True), 0, []
    for token in tokens:
        found.append(at)
        at += len(decoder.push(token))
    return found


def finite(logprob: float) -> float:
    """``logprob``, or a number that stands for none."""
    return max(float(logprob), LEAST) if logprob == logprob else LEAST

"""What an engine is asked and what it answers, as plain values without torch.

An answer is one `Started`, then a `Token` for each token, then one `Ended`. Log-probabilities are the model's own, in
nats, before temperature, biases and filters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from kolossos.errors import InputError


@dataclass(frozen=True)
class Sampling:
    """How to choose a token: logits, plus ``logit_bias``, less penalties, then temperature, top-k, top-p, min-p.

    presence_penalty, frequency_penalty: taken off the logits of tokens that the answer holds already, once or as often
    as they stand there. seed and sample: the random numbers; the same two give the same numbers in any company.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int = 0
    sample: int = 0


class Grammar(Protocol):
    """What may come next in one answer; asked and told by the engine's thread alone."""

    def allowed(self) -> np.ndarray:
        """True for the tokens that may come next, bool [vocabulary]; end tokens where the answer may end."""
        ...

    def accept(self, token: int) -> None:
        """``token`` was chosen."""
        ...


@dataclass(frozen=True)
class Request:
    """A prompt (token ids, at least one) to continue by at most ``max_tokens``, 0 to score it only.

    end_tokens: an answer ends with the first of them; it is the last `Token` and its text is no part of the answer.
    logprobs: None, or how many likeliest tokens to give beside each token's own. prompt_logprobs: the same of the
    prompt's tokens. embed: give the mean of the final hidden states of the prompt, of length 1; max_tokens is 0 then.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    end_tokens: frozenset[int] = frozenset()
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    grammar: Grammar | None = None
    embed: bool = False


@dataclass(frozen=True)
class Scored:
    """A token's log-probability, and the likeliest tokens with theirs in falling order."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Started:
    """The prompt has been read. prompt: of each of its tokens but the first, which has None, if that was asked for."""

    cached_tokens: int
    prompt: tuple[Scored | None, ...] | None = None
    embedding: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Token:
    """One more token; ``scored`` if log-probabilities were asked for."""

    token: int
    scored: Scored | None = None


@dataclass(frozen=True)
class Ended:
    """Nothing comes any more: an end token, max_tokens or the context's end, `Engine.cancel`, or a fault in words."""

    reason: Literal["stop", "length", "cancelled", "failed"]
    message: str = ""


Event = Started | Token | Ended


class TooLong(InputError):
    """The prompt leaves no room in the context, or can never fit into the memory for keys and values."""


class Busy(Exception):
    """As many requests wait as are taken; ``after`` seconds one may ask again."""

    def __init__(self, after: float) -> None:
        super().__init__(f"too many requests are waiting: again in {after:.0f} s")
        self.after = after


class Stopped(Exception):
    """The engine takes no requests any more: it is being shut down, or has failed."""


@dataclass(frozen=True)
class Status:
    """What an engine does now, and the sums of what it did.

    alive: its thread runs and can be asked. stalled_s: for how long a step has been at work. batch_sizes: rows
    of the newest steps. first_token_s: of the newest requests, seconds from `Engine.submit` to the first token.
    """

    alive: bool
    stalled_s: float
    running: int
    waiting: int
    pages: int
    pages_used: int
    pages_cached: int
    page_tokens: int
    requests: int
    cancelled: int
    failed: int
    prompt_tokens: int
    cached_tokens: int
    new_tokens: int
    steps: int
    busy_s: float
    batch_sizes: tuple[int, ...] = ()
    first_token_s: tuple[float, ...] = ()


class Engine(Protocol):
    """One model that answers requests; every method may be called from any thread."""

    vocab_size: int
    context: int
    """Tokens of prompt and answer together, at most."""

    def submit(self, request: Request, hear: Callable[[Event], None]) -> int:
        """Take a request; its events go to ``hear`` in the engine's thread, which must return at once.

        An answer is cut at the end of the context with reason "length". The number returned is for `cancel`.

        Raises:
            TooLong: it can never be answered. Busy: not now. Stopped: never again.
        """
        ...

    def cancel(self, number: int) -> None:
        """Forget a request within one step; its `Ended` follows, unless it has come already."""
        ...

    def status(self) -> Status:
        """The numbers of this moment."""
        ...

    def close(self, drain_s: float = 0.0) -> None:
        """Take nothing new, give what runs ``drain_s`` seconds to end, cancel the rest and end the thread."""
        ...

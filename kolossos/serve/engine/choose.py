"""From one row of logits to a token and what is said about it: a function of the row and of one request alone.

Filters are those of `kolossos.serve.sampling`, one row at a time; numbers are fp64 from the logits on.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from kolossos.serve.engine.request import Grammar, Request, Sampling, Scored
from kolossos.serve.sampling import sequence_generator, token_probabilities

NEVER = -100.0
"""A bias at or below this takes a token out altogether, as OpenAI's interface promises."""


class Unusable(Exception):
    """No token can be chosen; the message says why."""


class Chooser:
    """Chooses the tokens of one answer, one after the other."""

    def __init__(self, request: Request):
        self._sampling, self._grammar = request.sampling, request.grammar
        self._logprobs = request.logprobs
        self._seen: Counter[int] = Counter()
        drawn, sampling = request.sampling.temperature > 0, request.sampling
        self._numbers = sequence_generator(sampling.seed, sampling.sample) if drawn else None

    def choose(self, logits_V: np.ndarray) -> tuple[int, Scored | None]:
        """The next token, and its score if those were asked for.

        Raises:
            Unusable: the logits are not finite, or nothing is allowed.
        """
        require_finite(logits_V)
        token = self._token(logits_V)
        self._seen[token] += 1
        if self._grammar is not None:
            self._grammar.accept(token)
        return token, None if self._logprobs is None else score(logits_V, token, self._logprobs)

    def _token(self, logits_V: np.ndarray) -> int:
        values_V = self._changed(logits_V)
        if self._numbers is None:
            return int(values_V.argmax())
        probabilities_V = probabilities(values_V, self._sampling)
        draw = float(torch.rand(1, generator=self._numbers, dtype=torch.float64))
        cumulative_V = probabilities_V.cumsum()
        token = int(np.searchsorted(cumulative_V, draw * cumulative_V[-1], side="right"))
        return min(token, int(probabilities_V.nonzero()[0][-1]))

    def _changed(self, logits_V: np.ndarray) -> np.ndarray:
        """The logits after biases, penalties and the grammar; the same array where there are none."""
        sampling = self._sampling
        penalties = bool(sampling.presence_penalty or sampling.frequency_penalty)
        if not (sampling.logit_bias or (penalties and self._seen) or self._grammar):
            return logits_V
        values_V = logits_V.astype(np.float64)
        for token, bias in sampling.logit_bias.items():
            values_V[token] = -np.inf if bias <= NEVER else values_V[token] + bias
        if penalties:
            for token, count in self._seen.items():
                values_V[token] -= sampling.presence_penalty + sampling.frequency_penalty * count
        if self._grammar is not None:
            values_V[~_allowed(self._grammar, len(values_V))] = -np.inf
        if not (values_V > -np.inf).any():
            raise Unusable("no token is allowed here: the grammar and logit_bias exclude each other")
        return values_V


def _allowed(grammar: Grammar, size: int) -> np.ndarray:
    allowed = grammar.allowed()
    assert allowed.shape == (size,), (allowed.shape, size)
    return allowed


def require_finite(logits_V: np.ndarray) -> None:
    """Unusable if a logit is not a finite number."""
    if not np.isfinite(logits_V).all():
        raise Unusable("the model's logits are not finite: its weights are damaged, or its training has diverged")


def probabilities(logits_V: np.ndarray, sampling: Sampling) -> np.ndarray:
    """What is drawn from, fp64 [V], zero for what a filter took out."""
    return token_probabilities(torch.from_numpy(logits_V.astype(np.float64))[None], sampling)[0].numpy()


def score(logits_V: np.ndarray, token: int, top: int) -> Scored:
    """The log-probability of ``token`` and of the ``top`` likeliest tokens, nats; of equals the first comes first."""
    wide_V = logits_V.astype(np.float64)
    most = wide_V.max()
    total = float(most + np.log(np.exp(wide_V - most).sum()))
    likeliest: Sequence[int] = ()
    if top:
        near_N = np.flatnonzero(logits_V >= np.partition(logits_V, -min(top, len(logits_V)))[-min(top, len(logits_V))])
        likeliest = near_N[np.argsort(-logits_V[near_N], kind="stable")][:top].tolist()
    return Scored(token, float(wide_V[token]) - total, tuple((i, float(wide_V[i]) - total) for i in likeliest))

"""One request on its way: which of its tokens have keys and values, on which pages, and what comes next."""

from collections.abc import Callable

import numpy as np

from kolossos.serve.engine.batch import PAGE, Part
from kolossos.serve.engine.choose import Chooser, require_finite, score
from kolossos.serve.engine.pages import ROOT, PagePool
from kolossos.serve.engine.request import Ended, Event, Request, Scored, Started, Token


class Sequence:
    """A request that the engine's thread works on. ``most``: tokens of its answer, at most."""

    def __init__(self, request: Request, most: int, hear: Callable[[Event], None], asked_s: float):
        self.request, self.most, self.asked_s = request, most, asked_s
        self.number = 0  # by which it is cancelled
        self.hear = hear
        self.tokens = list(request.prompt)
        self.pages: list[int] = []
        self.known = 0  # tokens whose keys and values are on pages
        self.cached = 0
        self.first_token_s: float | None = None
        self._published, self._node = 0, ROOT
        self._chooser = Chooser(request)
        self._scored: list[Scored | None] = [None]
        self._hidden: np.ndarray | None = None

    @property
    def pages_needed(self) -> int:
        """For all its positions; the last token of an answer is never looked back at."""
        positions = len(self.request.prompt) + max(0, self.most - 1)
        return -(-positions // PAGE)

    @property
    def reads_whole(self) -> bool:
        """Whether every position of the prompt must be computed, found or not."""
        return self.request.prompt_logprobs is not None or self.request.embed

    @property
    def reading(self) -> bool:
        """Whether the prompt is not read to its end yet."""
        return self.known < len(self.request.prompt)

    def enter(self, pool: PagePool) -> bool:
        """Take the pages for all it may need, those of its beginning that are there; false if there is no room now."""
        prompt = self.request.prompt
        found = [] if self.reads_whole else pool.find(prompt[: len(prompt) - 1])  # the last one's logits are wanted
        missing = self.pages_needed - len(found)
        if pool.free - pool.idle_among(found) < missing:
            return False
        pool.hold(found)
        self.pages = found + pool.take(missing)
        self.known = self.cached = len(found) * PAGE
        self._published, self._node = len(found), pool.node(found[-1]) if found else ROOT
        return True

    def part(self, most: int) -> Part:
        """Its next tokens, ``most`` at most, for one pass."""
        ids = self.tokens[self.known : self.known + most]
        last = self.known + len(ids) == len(self.tokens)
        if self.reading and self.request.prompt_logprobs is not None:
            wanted: range | list[int] = range(len(ids))
        else:
            wanted = [len(ids) - 1] if last and self.most else []
        return Part(ids, self.known, self.pages, wanted)

    def take(self, part: Part, logits: np.ndarray, hidden: np.ndarray | None, pool: PagePool) -> Ended | None:
        """What a pass gave for ``part``; tells the listener, and returns how the answer ended once it has.

        Raises:
            Unusable: no token can be chosen.
        """
        was_reading, asked = self.reading, self.request.prompt_logprobs
        self.known += len(part.ids)
        if was_reading and asked is not None:
            for row, place in zip(logits, range(part.position + 1, len(self.request.prompt)), strict=False):
                require_finite(row)
                self._scored.append(score(row, self.request.prompt[place], asked))
        if hidden is not None and self.request.embed:
            self._add_hidden(hidden)
        self._publish(pool)
        if self.reading:
            return None
        if was_reading:
            self.hear(self._started())
        if not self.most:
            return Ended("length")
        return self._next_token(logits[-1])

    def _next_token(self, logits_V: np.ndarray) -> Ended | None:
        token, scored = self._chooser.choose(logits_V)
        self.tokens.append(token)
        self.hear(Token(token, scored))
        if token in self.request.end_tokens:
            return Ended("stop")
        return Ended("length") if len(self.tokens) - len(self.request.prompt) >= self.most else None

    def _started(self) -> Started:
        scored = tuple(self._scored) if self.request.prompt_logprobs is not None else None
        embedding = None
        if self._hidden is not None:
            length = float(np.sqrt(np.square(self._hidden).sum()))
            embedding = tuple((self._hidden / (length or 1.0)).tolist())
        return Started(self.cached, scored, embedding)

    def _add_hidden(self, hidden_ND: np.ndarray) -> None:
        require_finite(hidden_ND)
        if self._hidden is None:
            self._hidden = np.zeros(hidden_ND.shape[1])
        for row_D in hidden_ND:  # one after the other: the sum is the same in whatever pieces the prompt came
            self._hidden += row_D

    def _publish(self, pool: PagePool) -> None:
        """The pages that have become full."""
        while (self._published + 1) * PAGE <= self.known:
            start = self._published * PAGE
            tokens = self.tokens[start : start + PAGE]
            self._node = pool.publish(self.pages[self._published], self._node, tokens)
            self._published += 1

"""An engine that answers from a script, in a thread of its own, a token a step for every request that runs."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from kolossos.data.tokenizer import Tokenizer
from kolossos.serve.engine.request import (
    Busy,
    Ended,
    Event,
    Request,
    Scored,
    Started,
    Status,
    Stopped,
    Token,
    TooLong,
)

Script = Callable[[Request], Sequence[int] | Iterator[int]]


def by_chance(request: Request) -> Iterator[int]:
    """Tokens by the request's seed and sample, without end."""
    numbers = random.Random(f"{request.sampling.seed} {request.sampling.sample}")
    while True:
        yield numbers.randrange(4, 256)


def saying(tokenizer: Tokenizer, *texts: str) -> Callable:
    """A script: the tokens of ``texts``, each encoded by itself, then the end token."""
    return lambda _: [token for text in texts for token in tokenizer.encode(text)]


@dataclass
class Running:
    number: int
    request: Request
    hear: Callable[[Event], None]
    tokens: Iterator[int]
    said: int = 0
    started: bool = False


@dataclass
class ScriptedEngine:
    """``script`` gives an answer's tokens; where it ends, an end token follows if the request has any.

    hold: no step is taken while it is set. most: requests taken at a time. fail_after: the message and the number of
    tokens after which every answer fails. pause_s: of every step.
    """

    tokenizer: Tokenizer
    script: Script = by_chance
    context: int = 256
    vocab_size: int = 320
    most: int = 1000
    fail_after: tuple[str, int] | None = None
    pause_s: float = 0.0
    hold: threading.Event = field(default_factory=threading.Event)
    asked: list[Request] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    stalled_s: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Condition()
        self._numbers = itertools.count()
        self.running: dict[int, Running] = {}
        self.closing = False
        self.new_tokens = 0
        self._seen: set[tuple[int, ...]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, request: Request, hear: Callable[[Event], None]) -> int:
        with self._lock:
            if self.closing:
                raise Stopped
            if len(request.prompt) > self.context:
                raise TooLong(f"{len(request.prompt)} tokens are more than the context's {self.context}")
            if len(self.running) >= self.most:
                raise Busy(3.0)
            number = next(self._numbers)
            self.asked.append(request)
            self.running[number] = Running(number, request, hear, iter(self.script(request)))
            self._lock.notify()
            return number

    def cancel(self, number: int) -> None:
        with self._lock:
            gone = self.running.pop(number, None)
            if gone:
                self.cancelled.append(number)
                gone.hear(Ended("cancelled"))

    def status(self) -> Status:
        return Status(
            alive=self._thread.is_alive(),
            stalled_s=self.stalled_s,
            running=len(self.running),
            waiting=0,
            pages=64,
            pages_used=len(self.running),
            pages_cached=0,
            page_tokens=16,
            requests=len(self.asked),
            cancelled=len(self.cancelled),
            failed=0,
            prompt_tokens=sum(len(request.prompt) for request in self.asked),
            cached_tokens=0,
            new_tokens=self.new_tokens,
            steps=0,
            busy_s=0.0,
            batch_sizes=(1, 2),
        )

    def close(self, drain_s: float = 0.0) -> None:
        ends = time.monotonic() + drain_s
        self.closing = True
        while self.running and time.monotonic() < ends:
            time.sleep(0.01)
        for number in list(self.running):
            self.cancel(number)
        with self._lock:
            self._lock.notify()
        self._thread.join(10)

    def die(self) -> None:
        """End the thread as a fault would."""
        self.close()

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self.closing and (not self.running or self.hold.is_set()):
                    self._lock.wait(0.01)
                if self.closing and not self.running:
                    return
                for one in list(self.running.values()):
                    self._step(one)
            if self.pause_s:
                time.sleep(self.pause_s)

    def _step(self, one: Running) -> None:
        request = one.request
        if self.fail_after is not None and one.said >= self.fail_after[1]:
            self._end(one, Ended("failed", self.fail_after[0]))
        elif not one.started:
            one.started = True
            one.hear(self._started(request))
            if request.max_tokens == 0:
                self._end(one, Ended("length"))
        else:
            self._token(one)

    def _started(self, request: Request) -> Started:
        cached = len(request.prompt) - 1 if request.prompt in self._seen else 0
        self._seen.add(request.prompt)
        scored = None
        if request.prompt_logprobs is not None:
            rest = (self._scored(token, request.prompt_logprobs) for token in request.prompt[1:])
            scored = (None, *rest)
        vector = tuple(float(token) for token in request.prompt[:4]) if request.embed else None
        return Started(cached, scored, vector)

    def _token(self, one: Running) -> None:
        request = one.request
        end = min(request.end_tokens, default=None)
        try:
            token = next(one.tokens, end)
            if request.grammar is not None:
                token = self._by_grammar(request, token, one.said)
        except Exception as error:
            self._end(one, Ended("failed", str(error)))
            return
        if token is None:
            self._end(one, Ended("length"))
            return
        one.said += 1
        self.new_tokens += 1
        scored = None if request.logprobs is None else self._scored(token, request.logprobs)
        one.hear(Token(token, scored))
        if token in request.end_tokens:
            self._end(one, Ended("stop"))
        elif one.said >= request.max_tokens or len(request.prompt) + one.said >= self.context:
            self._end(one, Ended("length"))

    def _by_grammar(self, request: Request, token: int | None, said: int) -> int:
        allowed = request.grammar.allowed()
        assert allowed.shape == (self.vocab_size,)
        may = np.flatnonzero(allowed)
        if token is None or not allowed[token]:
            token = int(may[-1] if said > 3 else may[0])
        request.grammar.accept(token)
        return token

    def _scored(self, token: int, k: int) -> Scored:
        others = [(other, -0.25 * (place + 1)) for place, other in enumerate(range(97, 97 + k))]
        return Scored(token, -0.125 * (token % 16 + 1), tuple(others))

    def _end(self, one: Running, ended: Ended) -> None:
        if self.running.pop(one.number, None):
            one.hear(ended)

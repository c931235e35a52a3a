"""Throughput and waiting of an engine under requests that arrive at random times at a given rate.

Arrivals are a Poisson process; they come whether or not the engine keeps up, so that a queue that grows is seen (an
open loop; a closed one, which waits for answers before it asks again, hides it).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np

from kolossos.errors import InputError
from kolossos.serve.engine.request import Busy, Ended, Engine, Event, Request, Sampling, Token

POINTS = (50, 95, 99)


@dataclass(frozen=True)
class Load:
    """requests: in all. rate: arrivals a second. prompt_tokens, new_tokens: of each request, at most the context."""

    requests: int = 50
    rate: float = 1.0
    prompt_tokens: int = 128
    new_tokens: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """InputError naming what is out of range."""
        for name in ("requests", "prompt_tokens", "new_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name.replace('_', ' ')} {getattr(self, name)}: expected 1 or more")
        if not 0 < self.rate < float("inf"):
            raise InputError(f"rate {self.rate}: expected more than 0 requests a second")


@dataclass
class _Asked:
    at: float
    tokens: list[float] = field(default_factory=list)
    ended: str = ""


@dataclass(frozen=True)
class Measured:
    """What came of a load. first_token_s: from the arrival to the first token; between_s: from token to token; at the
    points (percentiles) named. refused: the queue was full. busiest: answers in one pass, at most."""

    load: Load
    answered: int
    refused: int
    failed: int
    seconds: float
    tokens_per_s: float
    first_token_s: dict[str, float]
    between_s: dict[str, float]
    busiest: int

    def to_json(self) -> dict:
        """As plain values."""
        return asdict(self)

    def to_text(self) -> str:
        """A few lines for a person."""
        load, each = self.load, f"{self.load.prompt_tokens} + {self.load.new_tokens} tokens each"
        rows = [
            f"{load.requests} requests at {load.rate:g} a second, {each}:",
            f"  answered {self.answered}, refused {self.refused}, failed {self.failed} in {self.seconds:.1f} s",
            f"  {self.tokens_per_s:,.1f} new tokens a second; at most {self.busiest} answers at once",
        ]
        for name, points in (("first token", self.first_token_s), ("token to token", self.between_s)):
            values = ", ".join(f"{point} {1000 * value:,.0f} ms" for point, value in points.items())
            rows.append(f"  {name:<15}{values or 'none'}")
        return "\n".join(rows)


def measure(engine: Engine, load: Load, progress: Callable[[int, int], None] = lambda *_: None) -> Measured:
    """Put ``load`` on ``engine`` and wait until all is answered; ``progress`` hears the requests that have ended."""
    if load.prompt_tokens + load.new_tokens > engine.context:
        wanted = load.prompt_tokens + load.new_tokens
        raise InputError(f"a request of {wanted} tokens exceeds the context of {engine.context}")
    rng = np.random.default_rng(load.seed)
    arrivals = rng.exponential(1 / load.rate, load.requests).cumsum()
    prompts = rng.integers(0, engine.vocab_size, (load.requests, load.prompt_tokens))
    asked: list[_Asked] = []
    done, left = threading.Event(), load.requests
    refused, busiest, begin = 0, 0, time.perf_counter()
    lock = threading.Lock()

    def hear(one: _Asked, event: Event) -> None:
        nonlocal left
        if isinstance(event, Token):
            one.tokens.append(time.perf_counter())
        elif isinstance(event, Ended):
            one.ended = event.reason
            with lock:
                left -= 1
                progress(load.requests - left, load.requests)
                if left == 0:
                    done.set()

    for number, arrival in enumerate(arrivals):
        time.sleep(max(0.0, begin + arrival - time.perf_counter()))
        one = _Asked(time.perf_counter())
        sampling = Sampling(temperature=1.0, seed=load.seed, sample=number)
        request = Request(tuple(prompts[number].tolist()), load.new_tokens, sampling)
        try:
            engine.submit(request, lambda event, one=one: hear(one, event))
            asked.append(one)
        except Busy:
            refused += 1
            with lock:
                left -= 1
                if left == 0:
                    done.set()
        busiest = max(busiest, *engine.status().batch_sizes, 0)
    while not done.wait(0.1):
        busiest = max(busiest, *engine.status().batch_sizes, 0)
    return _measured(load, asked, refused, busiest, time.perf_counter() - begin)


def _measured(load: Load, asked: list[_Asked], refused: int, busiest: int, seconds: float) -> Measured:
    good = [one for one in asked if one.ended in ("stop", "length")]
    first = [one.tokens[0] - one.at for one in good]
    between = [later - earlier for one in good for earlier, later in zip(one.tokens, one.tokens[1:], strict=False)]
    return Measured(
        load,
        answered=len(good),
        refused=refused,
        failed=len(asked) - len(good),
        seconds=seconds,
        tokens_per_s=sum(len(one.tokens) for one in good) / seconds,
        first_token_s=_points(first),
        between_s=_points(between),
        busiest=busiest,
    )


def _points(values: list[float]) -> dict[str, float]:
    return {f"p{point}": float(np.percentile(values, point)) for point in POINTS} if values else {}

"""Asking an engine from a test: many requests at once, their events in order."""

import queue
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kolossos.serve.engine.loop import EngineLoop
from kolossos.serve.engine.request import Ended, Event, Request, Sampling, Started, Token

WAIT_S = 120.0  # far more than it takes: nothing here measures


def ask(engine: EngineLoop, requests: Sequence[Request]) -> list[list[Event]]:
    """The events of each request, all asked at once."""
    heard: queue.Queue[tuple[int, Event]] = queue.Queue()
    answers: list[list[Event]] = [[] for _ in requests]
    for index, request in enumerate(requests):
        engine.submit(request, lambda event, index=index: heard.put((index, event)))
    left = len(requests)
    while left:
        index, event = heard.get(timeout=WAIT_S)
        answers[index].append(event)
        left -= isinstance(event, Ended)
    return answers


def said(events: list[Event]) -> list[Event]:
    """What does not tell whether the beginning of the prompt was found."""
    return [replace(event, cached_tokens=0) if isinstance(event, Started) else event for event in events]


def tokens(events: list[Event]) -> list[int]:
    return [event.token for event in events if isinstance(event, Token)]


def random_requests(count: int, vocab_size: int, context: int, seed: int = 0) -> list[Request]:
    """All kinds of them: greedy and drawn, biased, scored, cut short, with beginnings in common."""
    rng = np.random.default_rng(seed)
    common = [tuple(rng.integers(0, vocab_size, 40).tolist()) for _ in range(4)]
    requests = []
    for number in range(count):
        own = tuple(rng.integers(0, vocab_size, int(rng.integers(1, context // 3))).tolist())
        prompt = own if number % 2 else common[number % 8 // 2][: int(rng.integers(17, 40))] + own[:9]
        sampling = Sampling(
            temperature=float(rng.choice([0.0, 0.7, 1.3])),
            top_k=int(rng.integers(2, 50)) if number % 3 == 0 else None,
            top_p=float(rng.uniform(0.3, 1.0)) if number % 5 == 0 else 1.0,
            min_p=0.02 if number % 7 == 0 else 0.0,
            presence_penalty=0.5 if number % 4 == 0 else 0.0,
            frequency_penalty=0.3 if number % 6 == 0 else 0.0,
            logit_bias={
                int(t): float(b) for t, b in zip(rng.integers(0, vocab_size, 3), (-100.0, 2.0, -1.0), strict=True)
            }
            if number % 9 == 0
            else {},
            seed=int(rng.integers(0, 1000)),
            sample=number % 3,
        )
        requests.append(
            Request(
                prompt,
                int(rng.integers(0, 24)),
                sampling,
                end_tokens=frozenset({3, 4}),
                logprobs=int(rng.integers(0, 4)),
                prompt_logprobs=1 if number % 4 == 1 else None,
            )
        )
    return requests

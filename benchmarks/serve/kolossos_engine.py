"""The engine of `kolossos serve`, asked through its own interface in this process."""

import threading
from pathlib import Path

import torch
from clock import Clock
from contest import CACHE_GIB

from kolossos.serve.engine.build import EngineOptions, build_engine
from kolossos.serve.engine.native.packing import Weights
from kolossos.serve.engine.request import Ended, Event, Request, Sampling, Token


class Kolossos:
    def __init__(self, folder: Path, weights: Weights) -> None:
        self.version = f"this tree, torch {torch.__version__}"
        self.engine, _ = build_engine(folder, EngineOptions(weights=weights, threads=1, memory_bytes=CACHE_GIB << 30))

    def answer(self, prompts: list[list[int]], new: int, clock: Clock) -> None:
        left = threading.Semaphore(0)
        faults: list[str] = []

        def hear(row: int, event: Event) -> None:
            if isinstance(event, Token):
                clock.heard(row, event.token)
            elif isinstance(event, Ended):
                if event.reason == "failed":
                    faults.append(event.message)
                left.release()

        for row, prompt in enumerate(prompts):
            request = Request(tuple(prompt), new, Sampling(temperature=0))
            self.engine.submit(request, lambda event, row=row: hear(row, event))
        for _ in prompts:
            left.acquire()
        if faults:
            raise RuntimeError(faults[0])


def start(folder: Path, setting: Weights) -> Kolossos:
    return Kolossos(folder, setting)

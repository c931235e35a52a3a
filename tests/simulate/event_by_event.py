"""An independent simulator: one event after the other, in plain Python, for restarts from a store with hot spares.

It shares no code with the package beyond the scenario and the drawn failures; it keeps a heap of events, a queue of
failures that wait for a node, and counts seconds as they pass.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import count

from kolossos.simulate.engine.draw import Draws
from kolossos.simulate.scenario import Scenario

FAILURE, RETURN, SERVED, READY, SAVE, SAVED, USABLE, RESUME = range(8)


class Agenda:
    """Events in order of time."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, int, object]] = []
        self.order = count()

    def push(self, time: float, kind: int, what: object = None) -> None:
        heapq.heappush(self.heap, (time, next(self.order), kind, what))

    def until(self, horizon: float) -> Iterator[tuple[float, int, object]]:
        while self.heap and self.heap[0][0] < horizon:
            time, _, kind, what = heapq.heappop(self.heap)
            yield time, kind, what


def run(scenario: Scenario, draws: Draws, interval_s: float) -> dict[str, float]:
    """Seconds of the job in each state, kept computing, and interruptions, for replicate 0."""
    spec = scenario.spec
    cause, horizon = scenario.causes.rows[0], spec.days * 86_400.0
    nodes = spec.fleet.gpus // spec.fleet.gpus_per_node
    share = (nodes - spec.recovery.spare_nodes) / nodes
    blocking, background = spec.checkpoint.blocking, spec.checkpoint.background
    restart = (spec.recovery.restart_s or 0.0) + (spec.recovery.load_s or 0.0)
    agenda = Agenda()
    push = agenda.push
    for number, time in enumerate(draws.time_s):
        push(float(time), FAILURE, number)
    spares, queue = spec.recovery.spare_nodes, deque()
    spent = dict.fromkeys(("computing", "saving", "down"), 0.0)
    kept = work = pending = 0.0
    state, now, life, stops = "computing", 0.0, 0, 0
    recovering: dict[int, float] = {}  # failure -> when its detection is over
    push(interval_s, SAVE, life)
    for time, kind, what in agenda.until(horizon):
        spent[state] += time - now
        work += time - now if state == "computing" else 0.0
        now = time
        if kind == RETURN:
            if queue:
                push(now, SERVED, queue.popleft())
            else:
                spares += 1
        elif kind == FAILURE:
            push(now + cause.repair_s, RETURN)
            if draws.hit[what] < share:
                stops += 1
                if state != "down":
                    work = 0.0  # whatever was not kept is gone
                state, life = "down", life + 1
                recovering[what] = now + cause.detect_s
            if spares:
                spares -= 1
                push(now, SERVED, what)
            else:
                queue.append(what)
        elif kind == SERVED and what in recovering:
            push(max(recovering.pop(what), now) + restart, READY, what)
            recovering[-1 - what] = 0.0
        elif kind == READY:
            del recovering[-1 - what]
            if not recovering:
                state, life, work = "computing", life + 1, 0.0
                push(now + interval_s, SAVE, life)
        elif what == life and kind == SAVE:
            state, pending, work = "saving", work, 0.0
            push(now + blocking, SAVED, life)
        elif what == life and kind == SAVED:
            state = "computing"
            push(now + interval_s, SAVE, life)
            push(now + background, USABLE, (life, pending))
        elif kind == USABLE and what[0] == life:
            kept += what[1]
    spent[state] += horizon - now
    work += horizon - now if state == "computing" else 0.0
    return {**spent, "kept_at_least": kept, "interruptions": stops}

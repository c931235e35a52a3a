"""The passes that a pipeline stage works through, and how many micro-batches an order of them keeps alive."""

from typing import NamedTuple

FORWARD, BACKWARD, WEIGHT = 0, 1, 2
DIRECTIONS = ("forward", "backward", "weight gradient")


class Task(NamedTuple):
    """One pass of one micro-batch through one chunk of a stage. Backward includes the weight gradients, except in a
    schedule that splits it, where they are tasks of their own."""

    direction: int
    micro_batch: int
    chunk: int


def passes_in_turn(pp: int, vp: int, n_micro: int, direction: int) -> list[Task]:
    """Groups of pp micro-batches go through one chunk after the other; backward begins at the last chunk."""
    group = pp if vp > 1 else n_micro
    chunks = range(vp) if direction == FORWARD else range(vp - 1, -1, -1)
    return [
        Task(direction, micro_batch, chunk)
        for first in range(0, n_micro, group)
        for chunk in chunks
        for micro_batch in range(first, min(first + group, n_micro))
    ]


def peak_in_flight(order: list[Task], vp: int) -> float:
    """The most micro-batches of a whole stage whose activations are alive at once; a chunk counts 1 / vp."""
    last_use = WEIGHT if any(task.direction == WEIGHT for task in order) else BACKWARD
    alive = peak = 0
    for task in order:
        alive += (task.direction == FORWARD) - (task.direction == last_use)
        peak = max(peak, alive)
    return peak / vp

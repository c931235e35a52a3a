"""In which order a pipeline stage works through its micro-batches.

1F1B (PipeDream-flush) and its interleaved form are Megatron's, arXiv:2104.04473, section 2.2; zero-bubble H1 is
arXiv:2401.10241, section 3.1: the order of 1F1B with the weight gradients of stage s put off by s micro-batches.
"""

from typing import NamedTuple

FORWARD, BACKWARD, WEIGHT = 0, 1, 2
DIRECTIONS = ("forward", "backward", "weight gradient")


class Task(NamedTuple):
    """One pass of one micro-batch through one chunk of a stage. Backward includes the weight gradients, except in a
    zero-bubble schedule, where they are tasks of their own."""

    direction: int
    micro_batch: int
    chunk: int


def stage_order(stage: int, pp: int, vp: int, n_micro: int, zero_bubble: bool = False, put_off: int = 0) -> list[Task]:
    """Everything that ``stage`` does in one step, first to last.

    ``put_off`` is by how many micro-batches the weight gradients of a zero-bubble schedule trail their backward.
    """
    forward, backward = _passes(pp, vp, n_micro, FORWARD), _passes(pp, vp, n_micro, BACKWARD)
    ahead = min(_warm_up(stage, pp, vp), len(forward))
    order = forward[:ahead]
    for done, task in enumerate(backward):
        order += forward[ahead + done : ahead + done + 1]
        order.append(task)
        if zero_bubble and done >= put_off:
            order.append(backward[done - put_off]._replace(direction=WEIGHT))
    if zero_bubble:
        order += [task._replace(direction=WEIGHT) for task in backward[max(len(backward) - put_off, 0) :]]
    return order


def _warm_up(stage: int, pp: int, vp: int) -> int:
    """Forward passes before the first backward pass (arXiv:2104.04473, sections 2.2.1 and 2.2.2)."""
    return pp - stage - 1 if vp == 1 else 2 * (pp - stage - 1) + (vp - 1) * pp


def _passes(pp: int, vp: int, n_micro: int, direction: int) -> list[Task]:
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

"""Training on ranks that stand for nodes, each with a memory of its own, up to a step at which all vanish."""

import os
from pathlib import Path

import torch.distributed as dist
from quiet import loop_on_ranks

from kolossos.train.checkpoints.memory import Memory


class Vanished(BaseException):
    pass


def train_on_nodes(run_file: str, values: list[str], path: str, nodes: list[str], vanish: int) -> list[str]:
    """Train on nodes of these names, whose memories are folders beside ``path``; what was said.

    vanish: the step behind which all processes end, with what they keep in memory; 0: never.
    """
    node = nodes[dist.get_rank()]
    os.environ["KOLOSSOS_NODE"] = node
    os.environ["KOLOSSOS_MEMORY"] = str(Path(path).parent / f"memory-of-{node}")
    loop, listener = loop_on_ranks(run_file, values, path)
    real = loop._step

    def step(number: int) -> int:
        if vanish and number == vanish:
            assert isinstance(loop.checkpoints.memory, Memory)
            loop.checkpoints.memory.finish()
            loop.checkpoints.finish()
            raise Vanished
        return real(number)

    loop._step = step  # type: ignore[method-assign]
    try:
        loop.run()
    except Vanished:
        listener.lines.append("vanished")
    return listener.lines

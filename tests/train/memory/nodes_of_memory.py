"""Training on ranks that stand for nodes, each with a memory of its own, up to a step at which all vanish."""

import os
from pathlib import Path

import torch.distributed as dist
from quiet import Listener

from kolossos.runs.environment import Environment
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import load_run
from kolossos.train.checkpoints.memory import Memory
from kolossos.train.checkpoints.ranks import Ranks
from kolossos.train.loop import Loop
from kolossos.train.recorder import Recorder
from kolossos.train.setup import prepare_training
from kolossos.train.start import checkpoints_of


class Vanished(BaseException):
    pass


def train_on_nodes(run_file: str, values: list[str], path: str, nodes: list[str], vanish: int) -> list[str]:
    """Train on nodes of these names, whose memories are folders beside ``path``; what was said.

    vanish: the step behind which all processes end, with what they keep in memory; 0: never.
    """
    ranks = Ranks.of_group(dist.new_group(backend="gloo"))  # type: ignore[arg-type]
    os.environ["KOLOSSOS_NODE"] = nodes[ranks.rank]
    os.environ["KOLOSSOS_MEMORY"] = str(Path(path).parent / f"memory-of-{nodes[ranks.rank]}")
    spec, listener = load_run(Path(run_file), values), Listener()
    training = prepare_training(spec, ranks)
    if ranks.rank == 0 and not Path(path).exists():
        RunFolder.create(Path(path), spec, training.corpus.tokenizer_path)
    dist.barrier()
    recorder = Recorder(RunFolder.open(path), listener, Environment(measured_peak_flops=1e9), is_writer=not ranks.rank)
    loop = Loop(training, checkpoints_of(recorder.folder, ranks), recorder)
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

"""Ranks of which one computes a wrong gradient now and then."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from quiet import Listener
from torch import Tensor

from kolossos.errors import InputError
from kolossos.parallel.parallelize import before_sums
from kolossos.runs.environment import Environment
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import load_run
from kolossos.train.checkpoints.ranks import Ranks
from kolossos.train.loop import Loop
from kolossos.train.recorder import Recorder
from kolossos.train.setup import prepare_training
from kolossos.train.start import checkpoints_of
from kolossos.train.watch import replay


def train_miscomputing(
    run_file: str, values: list[str], path: str, wrong: int | None, times: range
) -> tuple[list[str], str]:
    """Train; the gradients that rank ``wrong`` brings to its sums ``times`` have a flipped bit. What was said, and
    how it ended."""
    ranks = Ranks.of_group(dist.new_group(backend="gloo"))  # type: ignore[arg-type]
    spec, listener, seen = load_run(Path(run_file), values), Listener(), iter(range(1_000_000))

    @contextmanager
    def flipping(see: Callable[[Sequence[Tensor]], None]) -> Iterator[None]:
        def flipped(gradients: Sequence[Tensor]) -> None:
            if ranks.rank == wrong and next(seen) in times:
                gradients[0].detach().flatten()[:1].view(torch.int32).bitwise_xor_(1 << 20)
            see(gradients)

        with before_sums(flipped):
            yield

    replay.before_sums = flipping
    training = prepare_training(spec, ranks)
    if ranks.rank == 0:
        RunFolder.create(Path(path), spec, training.corpus.tokenizer_path)
    dist.barrier()
    recorder = Recorder(RunFolder.open(path), listener, Environment(measured_peak_flops=1e9), is_writer=not ranks.rank)
    ended = ""
    try:
        Loop(training, checkpoints_of(recorder.folder, ranks), recorder).run()
    except InputError as error:
        ended = str(error)
    replay.before_sums = before_sums
    return listener.lines, ended

"""Training in which some global batches have a gradient that is NaN."""

import math
from collections.abc import Callable
from pathlib import Path

import torch.distributed as dist
from quiet import Listener
from torch import Tensor

from kolossos.model.held import held_tensor
from kolossos.runs.environment import Environment
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import load_run
from kolossos.train.checkpoints.ranks import Ranks
from kolossos.train.loop import Loop
from kolossos.train.recorder import Recorder
from kolossos.train.setup import Training, prepare_training
from kolossos.train.start import checkpoints_of
from kolossos.train.step import StepResult

REAL = Training.step


def poisoned_step(batches: set[int]):
    """`Training.step` with NaN in the gradient of one weight of whoever learns from one of these ``batches``."""

    def step(self: Training, step: int, lr_factor: float, *, skip_if_not_finite: bool = False) -> StepResult:
        if self.batch_of(step) not in batches:
            return REAL(self, step, lr_factor, skip_if_not_finite=skip_if_not_finite)
        real = self.optimizer.step

        def spoilt(factor: float, allowed: Callable[[Tensor], Tensor] | None = None) -> Tensor:
            if self.ranks.rank == 0:  # the others hear of it by the norm
                gradients = [held_tensor(p.grad) for p in self.model.parameters() if p.grad is not None]
                next(gradient for gradient in gradients if gradient.numel()).fill_(math.nan)
            return real(factor, allowed)

        self.optimizer.step = spoilt  # type: ignore[method-assign]
        result = REAL(self, step, lr_factor, skip_if_not_finite=skip_if_not_finite)
        self.optimizer.step = real  # type: ignore[method-assign]
        return result

    return step


class Stop(BaseException):
    pass


def train_on_ranks(run_file: str, values: list[str], path: str, batches: set[int], cut: int) -> list[str]:
    """Train with bad ``batches`` on all ranks of this job, until step ``cut`` is done (0: to the end)."""
    Training.step = poisoned_step(batches)  # type: ignore[method-assign]
    ranks = Ranks.of_group(dist.new_group(backend="gloo"))  # type: ignore[arg-type]
    spec, listener = load_run(Path(run_file), values), Listener()
    training = prepare_training(spec, ranks)
    if ranks.rank == 0 and not Path(path).exists():
        RunFolder.create(Path(path), spec, training.corpus.tokenizer_path)
    dist.barrier()
    recorder = Recorder(RunFolder.open(path), listener, Environment(measured_peak_flops=1e9), is_writer=not ranks.rank)
    loop = Loop(training, checkpoints_of(recorder.folder, ranks), recorder)
    real = loop._step

    def step(number: int) -> int:
        if cut and number == cut:
            loop.checkpoints.finish()
            raise Stop
        return real(number)

    loop._step = step  # type: ignore[method-assign]
    try:
        loop.run()
    except Stop:
        listener.lines.append("stopped")
    finally:
        Training.step = REAL  # type: ignore[method-assign]
    return listener.lines

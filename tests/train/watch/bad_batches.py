"""Training in which some global batches have a gradient that is NaN."""

import math
from collections.abc import Callable

from quiet import loop_on_ranks
from torch import Tensor

from kolossos.model.held import held_tensor
from kolossos.train.setup import Training
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
    loop, listener = loop_on_ranks(run_file, values, path)
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

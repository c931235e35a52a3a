"""The loop's policy for a step whose loss or gradient is not finite, all of it: skip, and stop after ten in a row.

One NaN in a gradient would make every weight NaN, for clipping divides all gradients by one norm. So such a step
changes neither weights nor optimizer (`may_update`), is written down as skipped, and the run goes on with the next
batch. Ten in a row are no accident of the data: the run stops, and its checkpoints stay as they are.
"""

from typing import Literal

import torch
from torch import Tensor

Decision = Literal["keep", "skip", "stop"]

STOP_AFTER = 10


def may_update(loss: Tensor, grad_norm: Tensor) -> Tensor:
    """Whether a step with this loss and gradient norm may change anything: a bool on the device, nothing waits.

    On several ranks both must be those of the global batch, so that all ranks decide alike.
    """
    return torch.isfinite(loss) & torch.isfinite(grad_norm)


def on_step(loss: Tensor, grad_norm: Tensor, bad_before: int) -> Decision:
    """What to do about a step, after ``bad_before`` bad ones in a row just before it."""
    if may_update(loss, grad_norm):
        return "keep"
    return "skip" if bad_before + 1 < STOP_AFTER else "stop"

"""The loop's policy for a step whose loss or gradient is not finite, or stands out (`watch/spikes.py`, where
``optimizer.skip_spikes`` asks for it), all of it: skip, and stop after ten in a row.

One NaN in a gradient would make every weight NaN, for clipping divides all gradients by one norm. So such a step
changes neither weights nor optimizer (`may_update`), is written down as skipped, and the run goes on with the next
batch. Ten in a row are no accident of the data: the run stops, and its checkpoints stay as they are.
"""

from typing import Literal

import torch
from torch import Tensor

from kolossos.train.watch.spikes import Spikes

Decision = Literal["keep", "skip", "stop"]

STOP_AFTER = 10


def may_update(loss: Tensor, grad_norm: Tensor, spikes: Spikes | None = None) -> Tensor:
    """Whether a step with this loss and gradient norm may change anything: a bool on the device, nothing waits.

    On several ranks both must be those of the global batch, so that all ranks decide alike.
    """
    finite = torch.isfinite(loss) & torch.isfinite(grad_norm)
    return finite if spikes is None or not spikes.sigmas else finite & ~spikes.stands_out(loss, grad_norm)


def on_step(kept: Tensor | bool, bad_before: int) -> Decision:
    """What to do about a step that was ``kept`` or not, after ``bad_before`` bad ones in a row just before it."""
    if kept:
        return "keep"
    return "skip" if bad_before + 1 < STOP_AFTER else "stop"

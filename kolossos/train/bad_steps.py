"""The loop's policy for a step whose loss or gradient is not finite, or stands out (`watch/spikes.py`, where
``optimizer.skip_spikes`` asks for it), all of it: skip, and stop after ten in a row; or roll back; or stop.

One NaN in a gradient would make every weight NaN, for clipping divides all gradients by one norm. So such a step
changes neither weights nor optimizer (`may_update`), is written down as skipped, and the run goes on with the next
batch. Ten in a row are no accident of the data: the run stops, and its checkpoints stay as they are.

With ``optimizer.bad_steps = "roll-back"`` the run goes back to a checkpoint from before and on with the data behind the
bad step, as PaLM did (arXiv:2204.02311, section 5.1: about 100 steps back, 200 to 500 batches left out; ``back_steps``
and ``skip_batches``): `survive/rollback.py`.
"""

from typing import Literal

import torch
from torch import Tensor

from kolossos.specs.run import OptimizerSpec
from kolossos.train.watch.spikes import Spikes

Decision = Literal["keep", "skip", "roll-back", "stop"]

STOP_AFTER = 10
SKIP = OptimizerSpec()


def may_update(loss: Tensor, grad_norm: Tensor, spikes: Spikes | None = None) -> Tensor:
    """Whether a step with this loss and gradient norm may change anything: a bool on the device, nothing waits.

    On several ranks both must be those of the global batch, so that all ranks decide alike.
    """
    finite = torch.isfinite(loss) & torch.isfinite(grad_norm)
    return finite if spikes is None or not spikes.sigmas else finite & ~spikes.stands_out(loss, grad_norm)


def on_step(kept: Tensor | bool, bad_before: int, spec: OptimizerSpec = SKIP, rolled_back: int = 0) -> Decision:
    """What to do about a step that was ``kept`` or not, after ``bad_before`` bad ones in a row just before it.

    rolled_back: how often the run went back before. All ranks are told the same, and decide alike.
    """
    if kept:
        return "keep"
    if spec.bad_steps == "roll-back":
        return "roll-back" if rolled_back < spec.rollbacks else "stop"
    return "skip" if spec.bad_steps == "skip" and bad_before + 1 < STOP_AFTER else "stop"

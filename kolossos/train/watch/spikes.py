"""Steps that stand out: a loss or a gradient norm far above those just before, which one bad batch makes.

Such a step changes nothing (`bad_steps.py`), as in OLMo 2 (arXiv:2501.00656, section 3.5): far is so many standard
deviations above the mean of the steps before it. What was seen is part of a run's state, so that a run which goes on
decides as an unbroken one; and all ranks see the loss and the norm of the global batch, so that they decide alike.
"""

import torch
from torch import Tensor

WINDOW = 128
ENOUGH = 2  # half of the window must have been seen


class Spikes:
    """Losses and gradient norms of the last ``window`` steps, kept or not, so that a new level is soon no spike.

    sigmas: how far is too far; 0 looks at nothing and has no state.
    """

    def __init__(self, sigmas: float, device: torch.device, window: int | None = None):
        self.sigmas, self._window = sigmas, window or WINDOW
        self._seen = torch.zeros((), dtype=torch.int64, device=device)
        self._values_2W = torch.zeros(2, self._window, dtype=torch.float32, device=device)

    def state(self) -> dict[str, Tensor]:
        """Live tensors by name; loading writes into them."""
        return {"spikes.seen": self._seen, "spikes.values": self._values_2W} if self.sigmas else {}

    def stands_out(self, loss: Tensor, grad_norm: Tensor) -> Tensor:
        """Whether a step is a spike: a bool on the device, nothing waits."""
        new_2 = torch.stack([loss.float(), grad_norm.float()])
        seen_W = (torch.arange(self._window, device=new_2.device) < self._seen).float()
        n = seen_W.sum().clamp(min=1.0)
        mean_2 = (self._values_2W * seen_W).sum(1) / n
        spread_2 = (((self._values_2W - mean_2[:, None]).square() * seen_W).sum(1) / n).sqrt()
        far = (new_2 > mean_2 + self.sigmas * spread_2).any()
        return far & (self._seen >= self._window // ENOUGH)

    def remember(self, loss: Tensor, grad_norm: Tensor) -> None:
        """Add a step to those seen, unless it is not finite."""
        new_2 = torch.stack([loss.float(), grad_norm.float()]).detach()
        place = (self._seen % self._window).view(1)
        finite = new_2.isfinite().all()
        kept_2 = self._values_2W.index_select(1, place)[:, 0]
        self._values_2W.index_copy_(1, place, torch.where(finite, new_2, kept_2)[:, None])
        self._seen += finite

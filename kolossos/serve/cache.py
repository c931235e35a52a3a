"""The keys and values of a batch of growing sequences.

Shapes: B sequences, T positions, K key-value heads, P head_dim.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from kolossos.model.attention.layer import LayerCache
from kolossos.model.decoder import Decoder

STEP = 32  # positions added at a time: every step attends to all there are, a growth copies them


class KeyValueCache:
    """One LayerCache a layer, all of one length T; ``layers`` is what `Decoder.forward` takes.

    Rows beyond a sequence's own length hold zeros or what padding wrote. No query sees them: the mask of generation
    ends at the query's position, and that row is written before it is read.
    """

    def __init__(self, model: Decoder, batch: int, length: int):
        """Room for ``batch`` sequences of ``length`` positions, on the device and in the dtype of the weights."""
        weight = model.embedding.weight
        spec = model.spec
        shape = (batch, _rounded(length), spec.n_kv_heads, spec.head_dim)
        self.layers = [LayerCache(*(weight.new_zeros(shape) for _ in range(2))) for _ in range(spec.n_layers)]

    @property
    def length(self) -> int:
        """Positions there is room for."""
        return self.layers[0].k_BTKP.shape[1]

    def make_room(self, length: int) -> None:
        """Grow until positions below ``length`` can be written."""
        missing = _rounded(length) - self.length
        if missing > 0:
            self._replace(lambda x_BTKP: torch.nn.functional.pad(x_BTKP, (0, 0, 0, 0, 0, missing)))

    def keep(self, rows: list[int]) -> None:
        """Drop all sequences but those in ``rows``."""
        self._replace(lambda x_BTKP: x_BTKP[rows])

    def allowed(self, positions_BS: Tensor) -> Tensor:
        """The mask [B, S, T]: a query at position p sees the keys 0 to p."""
        return torch.arange(self.length, device=positions_BS.device) <= positions_BS[..., None]

    def _replace(self, change: Callable[[Tensor], Tensor]) -> None:
        for layer in self.layers:
            layer.k_BTKP, layer.v_BTKP = change(layer.k_BTKP), change(layer.v_BTKP)


def _rounded(length: int) -> int:
    return -(-length // STEP) * STEP

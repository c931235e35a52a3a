"""Context parallelism: queries stay where they are, keys and values of all positions are gathered (Llama 3,
arXiv:2407.21783, section 3.3.2). torch's own runs on no CPU; this runs anywhere and takes soft caps and documents.
"""

from functools import partial

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from kolossos.model.decoder import Decoder, Layer
from kolossos.parallel.exchanges import all_gathered


def gather_keys(model: Decoder, group: ProcessGroup) -> None:
    """Let every layer of ``model`` see the keys and values of all ranks of ``group`` (cp)."""
    for layer in model.layers:
        assert isinstance(layer, Layer)
        layer.attention.all_positions = partial(_in_order, group=group)


def _in_order(x_BSKP: Tensor, group: ProcessGroup) -> Tensor:
    """[B, S / cp, K, P] of each rank -> [B, S, K, P] in order of position."""
    x_BTKP = all_gathered(x_BSKP, 1, group)
    ranks = group.size()
    pieces = x_BTKP.chunk(2 * ranks, dim=1)  # rank by rank, each with two
    numbers = [n for rank in range(ranks) for n in (rank, 2 * ranks - 1 - rank)]
    return torch.cat([pieces[numbers.index(n)] for n in range(2 * ranks)], dim=1)

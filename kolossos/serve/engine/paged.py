"""Attention of single positions to keys and values that lie in pages: by FlexAttention on CUDA, row by row elsewhere.

Both sum over a row's own pages in the order of its positions, in shapes that are always the same (FlexAttention) or
the row's own, so a row's bits do not depend on the rows beside it.

Shapes: N rows (of a tile), H heads, K key-value heads, G = H / K, P head_dim, T keys.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kolossos.model.attention.flex import soft_cap
from kolossos.serve.engine.batch import PAGE


@dataclass
class Rows:
    """Where the rows of a tile stand, on the device, at addresses that never change (a graph reads them there).

    position_N: in their sequences. table_NW: pages of the sequence (int32); what is beyond the row's position is the
    spare page. copied_N: which row a row is: its own number, or 0 where there is no such row in this pass. count_N:
    pages that a row sees, none of a row that is a copy. page_N: the page that its own keys and values go to, the spare
    one for a copy. page_of_NS: which page of row n's sequence each page of the pool is, -1: none. real: how many rows
    are no copies (known to the host alone).
    """

    position_N: Tensor
    table_NW: Tensor
    copied_N: Tensor
    count_N: Tensor
    page_N: Tensor
    page_of_NS: Tensor
    real: int = 0

    @classmethod
    def room(cls, rows: int, width: int, pages: int, device: torch.device) -> "Rows":
        """For ``rows`` rows of sequences of ``width`` pages; page ``pages`` is the spare one."""
        whole = {"device": device, "dtype": torch.int32}
        return cls(
            torch.zeros(rows, device=device, dtype=torch.int64),
            torch.full((rows, width), pages, **whole),
            torch.zeros(rows, device=device, dtype=torch.int64),
            torch.zeros(rows, **whole),
            torch.zeros(rows, device=device, dtype=torch.int64),
            torch.full((rows, pages + 1), -1, **whole),
        )

    def derive(self) -> None:
        """What follows from positions and tables; a part of every pass."""
        pages_W = torch.arange(self.table_NW.shape[1], device=self.table_NW.device, dtype=torch.int32)
        own_N = torch.arange(self.copied_N.shape[0], device=self.copied_N.device)
        self.count_N.copy_(torch.where(self.copied_N == own_N, self.position_N // PAGE + 1, 0))
        self.page_of_NS.fill_(-1).scatter_(1, self.table_NW.long(), pages_W.expand_as(self.table_NW))
        self.page_of_NS[:, -1] = -1
        page_N = self.table_NW.gather(1, (self.position_N // PAGE)[:, None])[:, 0].long()
        self.page_N.copy_(torch.where(self.count_N > 0, page_N, self.page_of_NS.shape[1] - 1))


class How(NamedTuple):
    """How a layer attends: the factor on the logits, their soft cap, the window (0: none), a sink of each head [H]."""

    scale: float
    softcap: float | None
    window: int
    sinks_H: Tensor | None


Paged = Callable[[Tensor, Tensor, Tensor, How], Tensor]
"""Of queries [N, H, P] and a layer's keys and values [pages, PAGE, K, P]: [N, H, P]."""


class FlexPaged:
    """FlexAttention over the pool of pages, each row a sequence of one query; the cap inside of the kernel."""

    def __init__(self, rows: Rows, compiled: bool):
        self._rows, self._compiled = rows, compiled
        self._blocks: dict[int, Any] = {}

    def __call__(self, q_NHP: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        scale, softcap, window, sinks_H = how
        if window not in self._blocks:
            self._blocks[window] = self._mask(window)

        attention = _compiled_for(scale, softcap, window) if self._compiled else _plain()
        k_1KTP, v_1KTP = (x.flatten(0, 1).transpose(0, 1)[None] for x in (k, v))
        asked = {} if sinks_H is None else {"return_aux": _log_sums()}
        if self._compiled:
            asked["kernel_options"] = {"BLOCK_N": PAGE}
        made = attention(
            q_NHP[:, :, None],
            k_1KTP,
            v_1KTP,
            score_mod=soft_cap(softcap),
            block_mask=self._blocks[window],
            scale=scale,
            enable_gqa=True,
            **asked,
        )
        out = made
        if sinks_H is not None:  # one more key of value 0: exp(sink) beside the sum of the others' exp
            out, lse = made[0], made[1].lse
            out = (out * torch.sigmoid(lse - sinks_H.float()[:, None])[..., None]).to(out.dtype)
        return out[:, :, 0][self._rows.copied_N]

    def _mask(self, window: int) -> Any:
        from torch.nn.attention.flex_attention import BlockMask

        rows = self._rows
        position_N, page_of_NS = rows.position_N, rows.page_of_NS

        def seen(n: Tensor, _h: Tensor, _q: Tensor, key: Tensor) -> Tensor:
            page = page_of_NS[n, key // PAGE]
            at = page * PAGE + key % PAGE
            allowed = (page >= 0) & (at <= position_N[n])
            return allowed & (at > position_N[n] - window) if window else allowed

        pool = page_of_NS.shape[1] * PAGE
        return BlockMask(
            (1, pool),
            rows.count_N[:, None, None],
            rows.table_NW[:, None, None],
            *(None,) * 6,
            BLOCK_SIZE=(128, PAGE),
            mask_mod=seen,
        )


class RowByRow:
    """The same with products of torch, one row after the other."""

    def __init__(self, rows: Rows):
        self._rows = rows

    def __call__(self, q_NHP: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        scale, softcap, window, sinks_H = how
        rows, outs = self._rows, []
        for n in range(rows.real):
            pages, position = rows.table_NW[n, : int(rows.count_N[n])].long(), rows.position_N[n]
            k_KPT = k[pages].flatten(0, 1).permute(1, 2, 0)
            v_KTP = v[pages].flatten(0, 1).transpose(0, 1)
            logits = (q_NHP[n].view(k_KPT.shape[0], -1, q_NHP.shape[-1]) @ k_KPT).float() * scale
            if softcap is not None:
                logits = softcap * torch.tanh(logits / softcap)
            key_T = torch.arange(k_KPT.shape[-1], device=q_NHP.device)
            hidden_T = key_T > position
            if window:
                hidden_T |= key_T <= position - window
            logits = logits.masked_fill(hidden_T, float("-inf"))
            if sinks_H is not None:
                logits = torch.cat((logits, sinks_H.float().view(*logits.shape[:2], 1)), dim=-1)
            weights = logits.softmax(-1)[..., : key_T.shape[0]]
            outs.append((weights.to(v.dtype) @ v_KTP).flatten(0, 1))
        return torch.stack(outs)[rows.copied_N]


def _log_sums() -> Any:
    from torch.nn.attention.flex_attention import AuxRequest

    return AuxRequest(lse=True)


def _plain() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention


@cache
def _compiled_for(_scale: float, _softcap: float | None, _window: int) -> Any:
    """One compiled function for each kind of layer: of one for all of them the compiler would make new ones."""
    return torch.compile(_plain(), dynamic=False)

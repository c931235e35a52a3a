"""Scaled dot-product attention with grouped queries and a tanh soft cap, on any device.

Four implementations of one function, chosen by `attend`:
- `masked_attention`: plain, any mask; for generation with a cache, for checks, and the reference of the tests.
- `ChunkedAttention`: causal training anywhere, fp32 or bf16. It never holds more than one chunk of queries' logits and
  recomputes them in backward, for FlexAttention has no backward on CPU and SDPA no soft cap.
- `flex`: causal training on CUDA with the cap inside the kernel.
- SDPA, where the model has no cap and documents need no border (on a CPU only forward: see benchmarks/attention.py).

Shapes: B batch, S queries, T keys, H query heads, K key-value heads, G = H / K queries a group, P head_dim.
"""

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MASKED = -1e30  # finite, so that a row without any allowed key is uniform, as in Grok-1's own code


def attend(
    q_BSHP: Tensor, k_BTKP: Tensor, v_BTKP: Tensor, scale: float, softcap: float | None, document_BS: Tensor | None
) -> Tensor:
    """Causal self-attention for training, [B, S, H, P]; with ``document_BS`` only within equal document numbers."""
    plain = softcap is None and document_BS is None
    if plain and (
        q_BSHP.is_cuda or not torch.is_grad_enabled()
    ):  # SDPA's backward on CPU takes twice the chunked one's time
        q, k, v = (x.transpose(1, 2) for x in (q_BSHP, k_BTKP, v_BTKP))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=True).transpose(1, 2)
    if q_BSHP.is_cuda:
        return _flex(q_BSHP, k_BTKP, v_BTKP, scale, softcap, document_BS)
    return ChunkedAttention.apply(q_BSHP, k_BTKP, v_BTKP, scale, softcap, document_BS)  # type: ignore[return-value]


def masked_attention(
    q_BSHP: Tensor, k_BTKP: Tensor, v_BTKP: Tensor, scale: float, softcap: float | None, allowed_BST: Tensor
) -> Tensor:
    """Attention of every query to the keys that ``allowed_BST`` names; softmax in fp32 (or wider)."""
    q_BKGSP, k_BKTP, v_BKTP = _grouped(q_BSHP, k_BTKP, v_BTKP)
    logits = _wide(torch.einsum("bkgsp,bktp->bkgst", q_BKGSP, k_BKTP)) * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    logits = torch.where(allowed_BST[:, None, None], logits, MASKED)
    weights = logits.softmax(-1).to(v_BKTP.dtype)
    return _ungrouped(torch.einsum("bkgst,bktp->bkgsp", weights, v_BKTP))


class ChunkedAttention(torch.autograd.Function):
    """Causal attention in chunks of queries; chunk i meets only the keys up to its end."""

    @staticmethod
    def forward(
        ctx: Any,
        q_BSHP: Tensor,
        k_BTKP: Tensor,
        v_BTKP: Tensor,
        scale: float,
        softcap: float | None,
        document_BS: Tensor | None,
    ) -> Tensor:
        q, k, v = _grouped(q_BSHP, k_BTKP, v_BTKP)
        outs, sums = [], []
        for start, end in _chunks(q.shape[3]):
            logits, _ = _logits(q[:, :, :, start:end], k[:, :, :end], scale, softcap, document_BS, start)
            largest = logits.amax(-1, keepdim=True)
            weights = torch.exp(logits - largest)
            total = weights.sum(-1, keepdim=True)
            outs.append((_product(weights.to(v.dtype), v[:, :, :end]) / total).to(v.dtype))
            sums.append(largest + torch.log(total))
        out = torch.cat(outs, dim=3)
        ctx.save_for_backward(q_BSHP, k_BTKP, v_BTKP, out, torch.cat(sums, dim=3), document_BS)
        ctx.scale, ctx.softcap = scale, softcap
        return _ungrouped(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q_BSHP, k_BTKP, v_BTKP, out, lse, document_BS = ctx.saved_tensors
        q, k, v = _grouped(q_BSHP, k_BTKP, v_BTKP)
        d_out = _group_queries(grads[0], k.shape[1])
        delta = (_wide(d_out) * _wide(out)).sum(-1, keepdim=True)
        dqs, dk, dv = [], None, None
        for start, end in reversed(_chunks(q.shape[3])):
            rows, keys = slice(start, end), slice(0, end)
            logits, tanh = _logits(q[:, :, :, rows], k[:, :, keys], ctx.scale, ctx.softcap, document_BS, start)
            weights = torch.exp(logits - lse[:, :, :, rows])
            d_weights = _product(d_out[:, :, :, rows], v[:, :, keys].transpose(-1, -2))
            d_logits = weights * (d_weights - delta[:, :, :, rows]) * ctx.scale
            if tanh is not None:
                d_logits = d_logits * (1 - tanh * tanh)
            d_logits = d_logits.to(q.dtype)
            dqs.append(_product(d_logits, k[:, :, keys]))
            dk = _add_to_keys(dk, _reduce_product(d_logits, q[:, :, :, rows]))
            dv = _add_to_keys(dv, _reduce_product(weights.to(q.dtype), d_out[:, :, :, rows]))
        dq = _ungrouped(torch.cat(dqs[::-1], dim=3))
        assert dk is not None
        assert dv is not None
        return dq, dk.transpose(1, 2), dv.transpose(1, 2), None, None, None


def _logits(
    q_BKGCP: Tensor, k_BKTP: Tensor, scale: float, softcap: float | None, document_BS: Tensor | None, start: int
) -> tuple[Tensor, Tensor | None]:
    """Wide logits of one chunk, capped and masked, [B, K, G, C, T]; and the tanh, which backward needs."""
    logits = _wide(_product(q_BKGCP, k_BKTP.transpose(-1, -2))) * scale
    tanh = None
    if softcap is not None:
        tanh = torch.tanh(logits / softcap)
        logits = softcap * tanh
    rows, keys = logits.shape[-2:]
    row_positions = torch.arange(start, start + rows, device=logits.device)
    allowed = row_positions[:, None] >= torch.arange(keys, device=logits.device)
    if document_BS is not None:
        same = document_BS[:, start : start + rows, None] == document_BS[:, None, :keys]
        allowed = (allowed & same)[:, None, None]
    return torch.where(allowed, logits, MASKED), tanh


def _wide(x: Tensor) -> Tensor:
    """``x`` in fp32, or as it is if that is wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _chunks(length: int) -> list[tuple[int, int]]:
    """Small chunks skip more of the masked half and stay in cache; eight at most, for each is compiled apart."""
    rows = max(64, -(-length // 8))
    return [(start, min(start + rows, length)) for start in range(0, length, rows)]


def _group_queries(x_BSHP: Tensor, n_kv: int) -> Tensor:
    batch, length, heads, width = x_BSHP.shape
    return x_BSHP.view(batch, length, n_kv, heads // n_kv, width).permute(0, 2, 3, 1, 4)


def _grouped(q_BSHP: Tensor, k_BTKP: Tensor, v_BTKP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries as [B, K, G, S, P]; keys and values as [B, K, T, P]."""
    return _group_queries(q_BSHP, k_BTKP.shape[2]), k_BTKP.transpose(1, 2), v_BTKP.transpose(1, 2)


def _ungrouped(x_BKGSP: Tensor) -> Tensor:
    return x_BKGSP.permute(0, 3, 1, 2, 4).flatten(2, 3)


def _product(x_BKGCX: Tensor, y_BKXY: Tensor) -> Tensor:
    """Batched product in which the G queries of a group share their key-value head: one product a head."""
    batch, heads, group, rows, inner = x_BKGCX.shape
    out = torch.bmm(x_BKGCX.reshape(batch * heads, group * rows, inner), y_BKXY.flatten(0, 1))
    return out.view(batch, heads, group, rows, -1)


def _reduce_product(x_BKGCT: Tensor, y_BKGCP: Tensor) -> Tensor:
    """Sum over the group and the rows of x^T y: the gradient of a key-value head, [B, K, T, P]."""
    batch, heads, group, rows, keys = x_BKGCT.shape
    left = x_BKGCT.reshape(batch * heads, group * rows, keys).transpose(1, 2)
    right = y_BKGCP.reshape(batch * heads, group * rows, -1)
    return torch.bmm(left, right).view(batch, heads, keys, -1)


def _add_to_keys(total: Tensor | None, part: Tensor) -> Tensor:
    """Add the gradient of the first keys; chunks come last first, so the first part is the longest."""
    if total is None:
        return part
    return torch.cat((total[:, :, : part.shape[2]] + part, total[:, :, part.shape[2] :]), dim=2)


@lru_cache(maxsize=1)
def _compiled_flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)


def _flex(
    q_BSHP: Tensor, k_BTKP: Tensor, v_BTKP: Tensor, scale: float, softcap: float | None, document_BS: Tensor | None
) -> Tensor:
    from torch.nn.attention.flex_attention import create_block_mask

    batch, length = q_BSHP.shape[:2]

    def allowed(b: Tensor, _h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        causal = q >= k
        return causal if document_BS is None else causal & (document_BS[b, q] == document_BS[b, k])

    def cap(score: Tensor, _b: Tensor, _h: Tensor, _q: Tensor, _k: Tensor) -> Tensor:
        return score if softcap is None else softcap * torch.tanh(score / softcap)

    mask = create_block_mask(
        allowed, batch if document_BS is not None else None, None, length, length, device=str(q_BSHP.device)
    )
    q, k, v = (x.transpose(1, 2) for x in (q_BSHP, k_BTKP, v_BTKP))
    out = _compiled_flex()(q, k, v, score_mod=cap, block_mask=mask, scale=scale, enable_gqa=True)
    return out.transpose(1, 2)

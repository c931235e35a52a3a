"""Scaled dot-product attention with grouped queries and a tanh soft cap, on any device.

Four implementations of one function, chosen by `attend`:
- `masked_attention`: plain, any mask; for generation with a cache, for checks, and the reference of the tests.
- `ChunkedAttention`: causal training anywhere, fp32 or bf16. Of long sequences it never holds more than one chunk of
  queries' logits and computes them again in backward: FlexAttention has no backward on CPU, SDPA no soft cap.
- `flex`: causal training on CUDA with the cap inside the kernel.
- SDPA, where the model has no cap and documents need no border (on a CPU only forward: see benchmarks/attention.py).

Shapes: B batch, S queries, T keys, H query heads, K key-value heads, G = H / K queries a group, P head_dim.
"""

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

KEEP_LENGTH = 512  # up to here compiled code may keep the softmax of forward, which is faster and small
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
    batch, length, heads, width = q_BSHP.shape
    n_kv = k_BTKP.shape[2]
    q_BKGSP = q_BSHP.view(batch, length, n_kv, heads // n_kv, width).permute(0, 2, 3, 1, 4)
    k_BKTP, v_BKTP = k_BTKP.transpose(1, 2), v_BTKP.transpose(1, 2)
    logits = _wide(torch.einsum("bkgsp,bktp->bkgst", q_BKGSP, k_BKTP)) * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    logits = torch.where(allowed_BST[:, None, None], logits, MASKED)
    weights = logits.softmax(-1).to(v_BKTP.dtype)
    out_BKGSP = torch.einsum("bkgst,bktp->bkgsp", weights, v_BKTP)
    return out_BKGSP.permute(0, 3, 1, 2, 4).flatten(2, 3)


@torch.library.custom_op("kolossos::recall", mutates_args=())
def recall(x: Tensor, gradient: Tensor) -> Tensor:
    """A copy of ``x`` that torch.compile takes for something known only with ``gradient``.

    Without it the compiler sees that backward computes the logits of forward again, and keeps them from there.
    """
    return x.clone()


@recall.register_fake
def _(x: Tensor, gradient: Tensor) -> Tensor:
    return torch.empty_like(x)


class ChunkedAttention(torch.autograd.Function):
    """Causal attention in chunks of queries; chunk i meets only the keys up to its end.

    Inside, a key-value head and the queries of its group are one matrix: N = B x K matrices of R = S x G query rows
    (row = position x G + query of the group), so that chunks are slices and nothing is copied to multiply.
    """

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
        q, k, v = _query_rows(q_BSHP, k_BTKP.shape[2]), _key_rows(k_BTKP), _key_rows(v_BTKP)
        group = q.shape[1] // k.shape[1]
        outs, sums = [], []
        for start, end in _chunks(k.shape[1]):
            rows = slice(start * group, end * group)
            logits, _ = _logits(q[:, rows], k[:, :end], scale, softcap, document_BS, start)
            largest = logits.amax(-1, keepdim=True)
            weights = torch.exp(logits - largest)
            total = weights.sum(-1, keepdim=True)
            outs.append((torch.bmm(weights.to(v.dtype), v[:, :end]) / total).to(v.dtype))
            sums.append(largest + torch.log(total))
        out = torch.cat(outs, dim=1)
        ctx.save_for_backward(q, k, v, out, torch.cat(sums, dim=1), document_BS)
        ctx.scale, ctx.softcap, ctx.n_kv = scale, softcap, k_BTKP.shape[2]
        return _from_query_rows(out, ctx.n_kv, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse, document_BS = ctx.saved_tensors
        group = q.shape[1] // k.shape[1]
        d_out = _query_rows(grads[0], ctx.n_kv)
        if k.shape[1] > KEEP_LENGTH:
            q = recall(q, d_out)
        delta = (_wide(d_out) * _wide(out)).sum(-1, keepdim=True)
        dqs, dk, dv = [], None, None
        for start, end in reversed(_chunks(k.shape[1])):
            rows = slice(start * group, end * group)
            logits, tanh = _logits(q[:, rows], k[:, :end], ctx.scale, ctx.softcap, document_BS, start)
            weights = torch.exp(logits - lse[:, rows])
            d_weights = torch.bmm(d_out[:, rows], v[:, :end].transpose(1, 2))
            d_logits = weights * (d_weights - delta[:, rows]) * ctx.scale
            if tanh is not None:
                d_logits = d_logits * (1 - tanh * tanh)
            d_logits = d_logits.to(q.dtype)
            dqs.append(torch.bmm(d_logits, k[:, :end]))
            dk = _add_to_first(dk, torch.bmm(d_logits.transpose(1, 2), q[:, rows]))
            dv = _add_to_first(dv, torch.bmm(weights.to(q.dtype).transpose(1, 2), d_out[:, rows]))
        assert dk is not None
        assert dv is not None
        dq = _from_query_rows(torch.cat(dqs[::-1], dim=1), ctx.n_kv, group)
        return dq, _from_query_rows(dk, ctx.n_kv, 1), _from_query_rows(dv, ctx.n_kv, 1), None, None, None


def _logits(
    q_NRP: Tensor, k_NTP: Tensor, scale: float, softcap: float | None, document_BS: Tensor | None, start: int
) -> tuple[Tensor, Tensor | None]:
    """Wide logits of one chunk of queries, capped and masked, [N, R, T]; and the tanh, which backward needs.

    The chunk's first position is ``start``, its last is that of the last key.
    """
    logits = _wide(torch.bmm(q_NRP, k_NTP.transpose(1, 2))) * scale
    tanh = None
    if softcap is not None:
        tanh = torch.tanh(logits / softcap)
        logits = softcap * tanh
    keys = k_NTP.shape[1]
    group = q_NRP.shape[1] // (keys - start)
    positions_R = start + torch.arange(q_NRP.shape[1], device=logits.device) // group
    allowed = positions_R[:, None] >= torch.arange(keys, device=logits.device)
    if document_BS is None:
        return torch.where(allowed, logits, MASKED), tanh
    batch = document_BS.shape[0]
    same_BRT = document_BS[:, start:keys].repeat_interleave(group, 1)[:, :, None] == document_BS[:, None, :keys]
    by_head = logits.view(batch, -1, *logits.shape[1:])
    return torch.where((allowed & same_BRT)[:, None], by_head, MASKED).view(logits.shape), tanh


def _wide(x: Tensor) -> Tensor:
    """``x`` in fp32, or as it is if that is wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _chunks(length: int) -> list[tuple[int, int]]:
    """Small chunks skip more of the masked half and stay in cache; eight at most, for each is compiled apart."""
    rows = max(64, -(-length // 8))
    return [(start, min(start + rows, length)) for start in range(0, length, rows)]


def _query_rows(x_BSHP: Tensor, n_kv: int) -> Tensor:
    """[B, S, H, P] -> [B x K, S x G, P], contiguous."""
    batch, length, heads, width = x_BSHP.shape
    by_group = x_BSHP.reshape(batch, length, n_kv, heads // n_kv, width).transpose(1, 2)
    return by_group.reshape(batch * n_kv, length * (heads // n_kv), width).contiguous()


def _key_rows(x_BTKP: Tensor) -> Tensor:
    """[B, T, K, P] -> [B x K, T, P], contiguous."""
    return x_BTKP.transpose(1, 2).flatten(0, 1).contiguous()


def _from_query_rows(x_NRP: Tensor, n_kv: int, group: int) -> Tensor:
    """[B x K, S x G, P] -> [B, S, H, P]."""
    matrices, rows, width = x_NRP.shape
    by_group = x_NRP.view(matrices // n_kv, n_kv, rows // group, group, width).transpose(1, 2)
    return by_group.reshape(matrices // n_kv, rows // group, n_kv * group, width)


def _add_to_first(total: Tensor | None, part: Tensor) -> Tensor:
    """Add the gradient of the first keys; chunks come last first, so the first part is the longest."""
    if total is None:
        return part
    return torch.cat((total[:, : part.shape[1]] + part, total[:, part.shape[1] :]), dim=1)


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

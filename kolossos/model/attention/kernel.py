"""Scaled dot-product attention with grouped queries and a tanh soft cap, on any device.

Five implementations of one function, chosen by `attend`:
- `masked_attention`: plain, any mask; for generation with a cache, for checks, and the reference of the tests.
- `ChunkedAttention`: causal training compiled, fp32 or bf16. It keeps no logits for backward but computes them again,
  and of long sequences never holds more than one chunk of queries: FlexAttention has no backward on CPU, SDPA no cap.
- `EagerAttention`: the same without a compiler, in fewer passes.
- `flex`: causal training on CUDA with the cap inside the kernel.
- SDPA, where the model has no cap and documents need no border (compiled for a CPU only forward).

Shapes: B batch, S queries, T keys, H query heads, K key-value heads, G = H / K queries a group, P head_dim.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kolossos.model.attention.eager import MASKED, EagerAttention, causal_mask
from kolossos.model.attention.flex import NARROWEST, block_mask, flex
from kolossos.model.sequence import Span

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

WHOLE_LENGTH = 512  # up to here all queries are one chunk: one product more is faster than a masked half left out
SAFE_SOFTCAP = 60.0  # exp(60) summed over any length stays within fp32, so the largest logit need not be known


class Reach(NamedTuple):
    """Which keys a position sees: those from the start of its document up to itself. Numbers of positions as floats,
    for comparing integers keeps compiled CPU code from vectorising.

    position_S: 0, 1, 2 ...; first_BS: where the document of each position begins, or None if documents have no border.
    blocks: the same for FlexAttention (CUDA), made once for all layers. spans: the positions that have a query here, if
    not all of them have.
    """

    position_S: Tensor
    first_BS: Tensor | None = None
    blocks: "BlockMask | None" = None
    spans: tuple[Span, ...] | None = None

    @classmethod
    def of(
        cls,
        length: int,
        document_BS: Tensor | None,
        device: torch.device,
        spans: tuple[Span, ...] | None = None,
    ) -> "Reach":
        """The reach of causal attention, within runs of equal ``document_BS`` if that is given."""
        blocks = device.type == "cuda" and spans is None
        position_S = torch.arange(length, device=device, dtype=torch.float32)
        if document_BS is None:
            return cls(position_S, None, block_mask(length, None, device) if blocks else None, spans)
        begins_BS = torch.zeros(document_BS.shape, device=device, dtype=torch.float32)
        changed = document_BS[:, 1:] != document_BS[:, :-1]
        begins_BS[:, 1:] = torch.where(changed, position_S[1:], 0.0)
        first_BS = begins_BS.cummax(1).values
        return cls(position_S, first_BS, block_mask(length, first_BS, device) if blocks else None, spans)

    def within(self, window: int, batch: int) -> "Reach":
        """The same where a position sees only the last ``window`` positions, itself included."""
        first_BS = (self.position_S - (window - 1)).clamp(min=0.0).expand(batch, -1).contiguous()
        if self.first_BS is not None:
            first_BS = torch.maximum(first_BS, self.first_BS)
        blocks = None if self.blocks is None else block_mask(first_BS.shape[1], first_BS, first_BS.device)
        return Reach(self.position_S, first_BS, blocks, self.spans)


def attend(
    q_BSHP: Tensor,
    k_BTKP: Tensor,
    v_BTKP: Tensor,
    scale: float,
    softcap: float | None,
    reach: Reach,
    sinks_H: Tensor | None = None,
) -> Tensor:
    """Causal self-attention for training, [B, S, H, P]; each head's sink is a logit beside those of the keys."""
    arguments = (q_BSHP, k_BTKP, v_BTKP, scale, softcap)
    chunked = (q_BSHP, k_BTKP, v_BTKP, (scale, softcap, reach.spans), reach.position_S, reach.first_BS, sinks_H)
    if sinks_H is not None:
        return ChunkedAttention.apply(*chunked)  # type: ignore[return-value]
    plain = softcap is None and reach.first_BS is None and reach.spans is None
    # compiled on a CPU, SDPA's backward takes twice the chunked one's time; not compiled, half of the eager one's
    if plain and (q_BSHP.is_cuda or not torch.is_grad_enabled() or not torch.compiler.is_compiling()):
        q, k, v = (x.transpose(1, 2) for x in (q_BSHP, k_BTKP, v_BTKP))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=True).transpose(1, 2)
    if reach.blocks is not None and q_BSHP.shape[-1] >= NARROWEST:
        return flex(*arguments, reach.blocks)
    if reach.spans is None and not torch.compiler.is_compiling():
        return _eager(*arguments, reach)
    return ChunkedAttention.apply(*chunked)  # type: ignore[return-value]


def _eager(q_BSHP: Tensor, k_BTKP: Tensor, v_BTKP: Tensor, scale: float, softcap: float | None, reach: Reach) -> Tensor:
    n_kv = k_BTKP.shape[2]
    q, k, v = _query_rows(q_BSHP, n_kv), _key_rows(k_BTKP), _key_rows(v_BTKP)
    group = q.shape[1] // k.shape[1]
    mask_of = partial(causal_mask, reach.position_S, reach.first_BS, group=group, n_kv=n_kv)
    chunks = [(start, end) for start, end, _ in _chunks(((0, k.shape[1]),), group)]
    out: Tensor = EagerAttention.apply(q, k, v, scale, softcap, chunks, mask_of)  # type: ignore[assignment]
    return _from_query_rows(out, n_kv, group)


def masked_attention(
    q_BSHP: Tensor,
    k_BTKP: Tensor,
    v_BTKP: Tensor,
    scale: float,
    softcap: float | None,
    allowed_BST: Tensor,
    sinks_H: Tensor | None = None,
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
    if sinks_H is not None:
        sink = sinks_H.to(logits.dtype).view(1, n_kv, -1, 1, 1).expand(*logits.shape[:-1], 1)
        logits = torch.cat((logits, sink), dim=-1)
    weights = logits.softmax(-1)[..., : allowed_BST.shape[-1]].to(v_BKTP.dtype)
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
    (row = position x G + query of the group), so that chunks are slices and nothing is copied to multiply. Products
    come first and all that is done element by element after them, in rows [N x R, T]: compiled, that is one pass.
    ``how``: scale, soft cap, and the positions that have a query here (None: all).
    """

    @staticmethod
    def forward(
        ctx: Any,
        q_BSHP: Tensor,
        k_BTKP: Tensor,
        v_BTKP: Tensor,
        how: tuple[float, float | None, tuple[Span, ...] | None],
        position_S: Tensor,
        first_BS: Tensor | None,
        sinks_H: Tensor | None,
    ) -> Tensor:
        q, k, v = _query_rows(q_BSHP, k_BTKP.shape[2]), _key_rows(k_BTKP), _key_rows(v_BTKP)
        group = q_BSHP.shape[2] // k_BTKP.shape[2]
        scale, softcap, spans = how
        outs, sums = [], []
        sink_NR = None if sinks_H is None else _sink_rows(sinks_H, k_BTKP.shape[2], q.shape)
        for start, end, rows in _chunks(spans or ((0, k.shape[1]),), group):
            product = torch.bmm(q[:, rows], k[:, :end].transpose(1, 2))
            logits, _ = _logits(product, scale, softcap, Reach(position_S, first_BS), start)
            largest = None
            if softcap is None or softcap > SAFE_SOFTCAP:
                largest = logits.amax(-1, keepdim=True)
                if sink_NR is not None:
                    largest = torch.maximum(largest, sink_NR[:, rows].reshape(-1, 1))
                logits = logits - largest
            weights = torch.exp(logits)
            total = weights.sum(-1, keepdim=True)
            if sink_NR is not None:
                sink = sink_NR[:, rows].reshape(-1, 1)
                total = total + torch.exp(sink if largest is None else sink - largest)
            out = torch.bmm(weights.to(v.dtype).view(product.shape), v[:, :end])
            outs.append((out / total.view(*product.shape[:2], 1)).to(v.dtype))
            sums.append((torch.log(total) if largest is None else largest + torch.log(total)).view(product.shape[:2]))
        out = torch.cat(outs, dim=1)
        ctx.save_for_backward(q, k, v, out, torch.cat(sums, dim=1), position_S, first_BS, sinks_H)
        ctx.scale, ctx.softcap, ctx.n_kv, ctx.group, ctx.spans = scale, softcap, k_BTKP.shape[2], group, spans
        return _from_query_rows(out, ctx.n_kv, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse_NR, *reach, sinks_H = ctx.saved_tensors
        group = ctx.group
        d_out = _query_rows(grads[0], ctx.n_kv)
        q = recall(q, d_out)
        delta_NR = (_wide(d_out) * _wide(out)).sum(-1)
        dqs, dk, dv = [], None, None
        for start, end, rows in reversed(_chunks(ctx.spans or ((0, k.shape[1]),), group)):
            product = torch.bmm(q[:, rows], k[:, :end].transpose(1, 2))
            d_weights = torch.bmm(d_out[:, rows], v[:, :end].transpose(1, 2)).view(-1, end)
            logits, tanh = _logits(product, ctx.scale, ctx.softcap, Reach(*reach), start)
            weights = torch.exp(logits - lse_NR[:, rows].reshape(-1, 1))
            d_logits = weights * (d_weights - delta_NR[:, rows].reshape(-1, 1)) * ctx.scale
            if tanh is not None:
                d_logits = d_logits * (1 - tanh * tanh)
            d_logits, weights = (x.to(q.dtype).view(product.shape) for x in (d_logits, weights))
            dqs.append(torch.bmm(d_logits, k[:, :end]))
            dk = _add_to_first(dk, torch.bmm(d_logits.transpose(1, 2), q[:, rows]))
            dv = _add_to_first(dv, torch.bmm(weights.transpose(1, 2), d_out[:, rows]))
        assert dk is not None
        assert dv is not None
        dq = _from_query_rows(torch.cat(dqs[::-1], dim=1), ctx.n_kv, group)
        dk, dv = (F.pad(x, (0, 0, 0, k.shape[1] - x.shape[1])) if x.shape != k.shape else x for x in (dk, dv))
        d_sinks = None
        if sinks_H is not None:  # the sink is one more key, of value 0
            d_sink_NR = -torch.exp(_sink_rows(sinks_H, ctx.n_kv, q.shape) - lse_NR) * delta_NR
            d_sinks = d_sink_NR.view(-1, ctx.n_kv, q.shape[1] // group, group).sum((0, 2)).flatten().to(sinks_H.dtype)
        return dq, _from_query_rows(dk, ctx.n_kv, 1), _from_query_rows(dv, ctx.n_kv, 1), None, None, None, d_sinks


def _logits(
    product_NRT: Tensor, scale: float, softcap: float | None, reach: Reach, start: int
) -> tuple[Tensor, Tensor | None]:
    """Wide logits of one chunk of queries, capped and masked, [N x R, T]; and the tanh, which backward needs.

    The chunk's first position is ``start``, its last is that of the last key.
    """
    matrices, rows, keys = product_NRT.shape
    logits = _wide(product_NRT.view(-1, keys))
    tanh = None
    if softcap is None:
        logits = logits * scale
    else:
        tanh = 1 - 2 / (1 + torch.exp(logits * (2 * scale / softcap)))  # compiled, it takes half the time of torch.tanh
        logits = softcap * tanh
    return logits + _mask(reach, start, keys, matrices, rows), tanh


def _mask(reach: Reach, start: int, keys: int, matrices: int, rows: int) -> Tensor:
    """0 where a query row sees the key and MASKED or less where not, [N x R, T]; to be added to the logits."""
    group = rows // (keys - start)
    key_T = reach.position_S[:keys]
    position_R = reach.position_S[start:keys].repeat_interleave(group)
    ahead = position_R.expand(matrices, -1).reshape(-1, 1) - key_T
    if reach.first_BS is not None:
        heads = matrices // reach.first_BS.shape[0]
        first_NR = reach.first_BS[:, start:keys].repeat_interleave(heads, 0).repeat_interleave(group, 1)
        ahead = torch.minimum(ahead, key_T - first_NR.reshape(-1, 1))
    return ahead.clamp(max=0.0) * -MASKED


def _wide(x: Tensor) -> Tensor:
    """``x`` in fp32, or as it is if that is wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _chunks(spans: tuple[Span, ...], group: int) -> list[tuple[int, int, slice]]:
    """First position, the one behind the last, and the query rows of each chunk.

    Short spans are whole; of long ones the masked half is left out. Eight at most, for each is compiled apart.
    """
    chunks, row = [], 0
    for first, last in spans:
        length = last - first
        rows = length if length <= WHOLE_LENGTH else -(-length // 8)
        for start in range(first, last, rows):
            end = min(start + rows, last)
            chunks.append((start, end, slice(row, row + (end - start) * group)))
            row += (end - start) * group
    return chunks


def _query_rows(x_BSHP: Tensor, n_kv: int) -> Tensor:
    """[B, S, H, P] -> [B x K, S x G, P], contiguous."""
    batch, length, heads, width = x_BSHP.shape
    by_group = x_BSHP.reshape(batch, length, n_kv, heads // n_kv, width).transpose(1, 2)
    return by_group.reshape(batch * n_kv, length * (heads // n_kv), width).contiguous()


def _key_rows(x_BTKP: Tensor) -> Tensor:
    """[B, T, K, P] -> [B x K, T, P], contiguous."""
    return x_BTKP.transpose(1, 2).flatten(0, 1).contiguous()


def _sink_rows(sinks_H: Tensor, n_kv: int, shape_NRP: torch.Size) -> Tensor:
    """[H] -> [B x K, S x G]: the sink of the head that each query row belongs to."""
    matrices, rows, _ = shape_NRP
    group = sinks_H.shape[0] // n_kv
    return _wide(sinks_H).view(n_kv, group).repeat(matrices // n_kv, rows // group)


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

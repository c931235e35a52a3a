"""The chunked attention that trains on any device, against the plain one."""

import pytest
import torch

from kolossos.model.attention.kernel import ChunkedAttention, Reach, masked_attention


def inputs(length: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(length)
    sizes = (4, 2, 2)
    return [
        torch.randn(2, length, heads, 8, dtype=torch.float64, generator=generator, requires_grad=True)
        for heads in sizes
    ]


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200, 600])
@pytest.mark.parametrize("softcap", [None, 2.0, 80.0])
@pytest.mark.parametrize("with_documents", [False, True])
def test_chunked_attention_and_its_gradient_equal_the_plain_ones(
    length: int, softcap: float | None, with_documents: bool
) -> None:
    allowed = torch.ones(length, length, dtype=torch.bool).tril().expand(2, -1, -1)
    document_BS = None
    if with_documents:
        document_BS = torch.arange(length).expand(2, -1) // 37
        allowed = allowed & (document_BS[:, :, None] == document_BS[:, None, :])
    outs, grads = [], []
    for kernel in (
        lambda q, k, v: ChunkedAttention.apply(
            q, k, v, (0.3, softcap, None), *Reach.of(length, document_BS, q.device)[:2], None
        ),
        lambda q, k, v: masked_attention(q, k, v, 0.3, softcap, allowed),
    ):
        leaves = inputs(length)
        out = kernel(*leaves)
        out.square().sum().backward()
        outs.append(out)
        grads.append([leaf.grad for leaf in leaves])
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(*grads)


def test_the_soft_cap_bounds_the_logits() -> None:
    q, k, v = inputs(8)
    allowed = torch.ones(2, 8, 8, dtype=torch.bool)
    capped = masked_attention(q, k, v, 1e9, 1e-6, allowed)  # all logits within 1e-6 of each other: a plain mean
    mean = v.mean(1, keepdim=True).repeat_interleave(2, 2).expand_as(capped)
    torch.testing.assert_close(capped, mean, atol=1e-5, rtol=0)

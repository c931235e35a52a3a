"""The mask of FlexAttention, made from borders of blocks, is the one made from all pairs; training on CUDA takes it."""

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from kolossos.model.attention.flex import block_mask
from kolossos.model.attention.kernel import Reach, attend, masked_attention

CPU = torch.device("cpu")


def documents(batch: int, length: int, seed: int, mean: int) -> torch.Tensor:
    """Random document numbers [B, S]: some rows whole, some with a border at a block's edge."""
    generator = torch.Generator().manual_seed(seed)
    begins = torch.rand(batch, length, generator=generator) < 1 / mean
    begins[0] = False
    if length > 128:
        begins[-1] = False
        begins[-1, 128] = True
    return begins.cumsum(1).int()


@pytest.mark.parametrize("length", [64, 128, 256, 300, 1000])
@pytest.mark.parametrize("mean", [20, 200, None])
def test_blocks_from_borders_are_those_of_all_pairs(length: int, mean: int | None) -> None:
    document_BS = None if mean is None else documents(4, length, length, mean)
    first_BS = None if document_BS is None else Reach.of(length, document_BS, CPU).first_BS
    made = block_mask(length, first_BS, CPU)
    expected = create_block_mask(
        made.mask_mod, None if first_BS is None else 4, None, length, length, device="cpu", BLOCK_SIZE=128
    )
    assert torch.equal(made.to_dense(), expected.to_dense())
    for counts, numbers in (("kv_num_blocks", "kv_indices"), ("full_kv_num_blocks", "full_kv_indices")):
        count, known = getattr(made, counts), getattr(expected, counts)
        assert torch.equal(count, known), counts
        rows = zip(
            count.flatten().tolist(), *(getattr(m, numbers).flatten(0, -2) for m in (made, expected)), strict=True
        )
        assert all(torch.equal(a[:n], b[:n]) for n, a, b in rows), numbers


def test_attention_with_these_blocks_is_the_reference() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 300, heads, 32) for heads in (4, 2, 2))
    document_BS = documents(3, 300, 5, 90)
    blocks = block_mask(300, Reach.of(300, document_BS, CPU).first_BS, CPU)

    def cap(score, *_):
        return 30.0 * torch.tanh(score / 30.0)

    heads_first = (x.transpose(1, 2) for x in (q, k, v))
    out = flex_attention(*heads_first, score_mod=cap, block_mask=blocks, scale=0.2, enable_gqa=True).transpose(1, 2)
    position_S = torch.arange(300)
    allowed_BST = (position_S[:, None] >= position_S) & (document_BS[:, :, None] == document_BS[:, None])
    torch.testing.assert_close(out, masked_attention(q, k, v, 0.2, 30.0, allowed_BST), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("softcap", [30.0, None])
def test_forward_and_backward_on_cuda_are_the_reference(compiled: bool, softcap: float | None) -> None:
    torch.manual_seed(0)
    device = torch.device("cuda")
    document_BS = documents(4, 512, 3, 150).to(device)
    inputs = [torch.randn(4, 512, heads, 64, device=device) for heads in (4, 2, 2)]
    position_S = torch.arange(512, device=device)
    allowed_BST = (position_S[:, None] >= position_S) & (document_BS[:, :, None] == document_BS[:, None])
    reach = Reach.of(512, document_BS, device)

    def ours(q, k, v):
        return attend(q, k, v, 0.125, softcap, reach)

    results = []
    for run in (
        torch.compile(ours) if compiled else ours,
        lambda *x: masked_attention(*x, 0.125, softcap, allowed_BST),
    ):
        tensors = [x.clone().requires_grad_() for x in inputs]
        out = run(*tensors)
        out.sin().sum().backward()
        results.append([out, *(x.grad for x in tensors)])
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-3, atol=1e-4)

"""Routing and the experts, against loops one can read."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kolossos.model.experts.exchange import Rows, WayHome, nothing_moves
from kolossos.model.experts.grouped_cpu import mm_cpu_bf16, outer_cpu_bf16, rounded_rows
from kolossos.model.experts.moe import MixtureOfExperts
from kolossos.specs.model import MoESpec


def moe(top_k: int = 2, renormalize: bool = False) -> MixtureOfExperts:
    torch.manual_seed(0)
    layer = MixtureOfExperts(16, MoESpec(n_experts=5, top_k=top_k, expert_dim=12, renormalize=renormalize), "gelu_tanh")
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return layer.double()


def loop_over_tokens(layer: MixtureOfExperts, x_ND: torch.Tensor) -> torch.Tensor:
    """Every token through its experts, one at a time."""
    rows = []
    for x in x_ND:
        probs = (layer.router.weight @ x).softmax(0)
        gates, chosen = probs.topk(layer.router.moe.top_k)
        if layer.router.moe.renormalize:
            gates = gates / gates.sum()
        experts = layer.experts
        outs = [
            g * ((F.gelu(x @ experts.gate[e], approximate="tanh") * (x @ experts.up[e])) @ experts.down[e])
            for g, e in zip(gates, chosen, strict=True)
        ]
        rows.append(torch.stack(outs).sum(0))
    return torch.stack(rows)


def test_experts_and_their_gradients_equal_a_loop_over_tokens() -> None:
    for top_k, renormalize in ((1, False), (2, False), (2, True)):
        grads, outs = [], []
        for run in (lambda layer, x: layer(x)[0], loop_over_tokens):
            layer = moe(top_k, renormalize)
            x = torch.randn(37, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
            out = run(layer, x)
            out.square().sum().backward()
            outs.append(out)
            grads.append([x.grad, *(p.grad for p in layer.parameters())])
        torch.testing.assert_close(*outs)
        torch.testing.assert_close(*grads)


def test_routing_is_a_permutation_and_balance_is_one_when_even() -> None:
    layer = moe()
    routing = layer.router(torch.randn(64, 16, dtype=torch.float64))
    assert sorted(routing.source_R.tolist()) == list(range(128))
    assert torch.equal(routing.source_R[routing.row_NC.flatten()], torch.arange(128))
    assert routing.ends_E[-1] == 128
    with torch.no_grad():
        layer.router.weight.zero_()  # all experts equally likely
    torch.testing.assert_close(layer.router(torch.randn(64, 16).double()).balance.item(), 1.0)


def test_rows_may_meet_those_of_another_rank_between_routing_and_products() -> None:
    """An exchange as expert parallelism has it, whose other rank has the same rows as this one."""

    def together(rows: Rows) -> tuple[Rows, WayHome]:
        count_E = rows.ends_E.diff(prepend=rows.ends_E.new_zeros(1))
        expert_R = torch.arange(len(count_E)).repeat_interleave(count_E).repeat(2)
        order_R = torch.sort(expert_R, stable=True).indices
        back_R = torch.argsort(order_R)[: len(rows.x_RD)]
        both = Rows(rows.x_RD.repeat(2, 1)[order_R], rows.gates_R.repeat(2)[order_R], 2 * rows.ends_E)
        return both, lambda y_RD: y_RD[back_R]

    grads, outs = [], []
    for exchange in (nothing_moves, together):
        layer = moe()
        layer.exchange = exchange
        x = torch.randn(37, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
        out, _ = layer(x)
        out.square().sum().backward()
        outs.append(out)
        grads.append([x.grad, *(p.grad for p in layer.parameters())])
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(*grads)


def test_losses_of_ranks_that_know_all_loads_add_up_to_those_of_all_tokens() -> None:
    layer = moe()
    x = torch.randn(60, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    everywhere = layer.router(x)
    (everywhere.balance + everywhere.z).backward()
    expected = layer.router.weight.grad.clone()
    layer.router.weight.grad = None
    counts = everywhere.load_E * 60 * layer.router.moe.top_k
    layer.router.sum_over_ranks = lambda _count_E: counts
    parts = [(share, layer.router(part)) for share, part in ((0.25, x[:15]), (0.75, x[15:]))]
    sum(share * (routing.balance + routing.z) for share, routing in parts).backward()
    torch.testing.assert_close(sum(share * routing.balance for share, routing in parts), everywhere.balance)
    torch.testing.assert_close(layer.router.weight.grad, expected)
    assert all(torch.equal(routing.load_E, everywhere.load_E) for _, routing in parts)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=6), st.integers(0, 2**31))
def test_grouped_products_in_bf16_equal_a_loop_over_experts(counts: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows, ends = sum(counts), torch.tensor(counts).cumsum(0).int()
    x, y = (torch.randn(rows, width, generator=generator).bfloat16() for width in (16, 24))
    w = torch.randn(len(counts), 16, 24, generator=generator).bfloat16()
    product, outer = mm_cpu_bf16(x, w, ends), outer_cpu_bf16(x, y, ends)
    start = 0
    for expert, end in enumerate(ends.tolist()):
        expected = x[start:end].float() @ w[expert].float()
        torch.testing.assert_close(product[start:end].float(), expected, atol=0.05, rtol=0.01)
        expected = x[start:end].float().t() @ y[start:end].float()
        torch.testing.assert_close(outer[expert].float(), expected, atol=0.2, rtol=0.01)
        start = end


@given(st.integers(0, 10**6))
def test_row_counts_are_rounded_up_to_few_sizes(rows: int) -> None:
    rounded = rounded_rows(rows)
    assert rows <= rounded <= max(64, rows * 1.125 + 64)
    assert len({rounded_rows(n) for n in range(rows, 2 * rows, max(1, rows // 500))}) <= 18

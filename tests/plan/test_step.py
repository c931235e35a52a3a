"""What must hold of any predicted step, whatever the coefficients."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kolossos.plan.closed_form.layer_kernels import layer_kernels
from kolossos.plan.closed_form.memory import memory_bytes
from kolossos.plan.closed_form.parameters import stage_parameters
from kolossos.plan.closed_form.step import step_seconds
from kolossos.plan.closed_form.work import expert_tokens, matmuls, tokens
from kolossos.plan.columns import LayoutColumns, ModelColumns
from kolossos.plan.rates.hardware import HardwareColumns
from kolossos.plan.rates.software import SoftwareColumns, load_software
from kolossos.plan.search.layout_parts import part_names
from kolossos.plan.setting import Setting
from kolossos.specs.catalogue import load_gpu, load_model
from kolossos.specs.cluster import FabricSpec
from kolossos.specs.counts import count_parameters, training_flops_per_token
from kolossos.specs.layout import Layout

MODELS = ("grok-1", "grok-2", "llama-3.1-405b", "mixtral-8x7b", "deepseek-v3-671b")


def setting(model: str, layout: Layout, gpu: str = "h100", software: str = "megatron-2025") -> Setting:
    return Setting(
        model=ModelColumns.of(load_model(model)),
        hardware=HardwareColumns.of(load_gpu(gpu), 8, FabricSpec()),
        software=SoftwareColumns.of(load_software().named(software)),
        layout=LayoutColumns.of(layout),
        sequence_parallel=np.float64(layout.tp > 1),
    )


def step(case: Setting):
    return step_seconds(layer_kernels(case.model, case.hardware, case.layout), case)


powers = st.sampled_from([1, 2, 4, 8])


@st.composite
def layouts(draw) -> Layout:
    tp, pp, cp, ep = draw(powers), draw(powers), draw(st.sampled_from([1, 2])), draw(powers)
    dp, micro, accumulate = 8 * draw(powers), draw(st.sampled_from([1, 2])), draw(st.sampled_from([8, 16]))
    return Layout(
        tp=tp, pp=pp, cp=cp, ep=ep, etp=1, vp=1, dp_shard=dp, micro_batch_size=micro,
        global_batch_size=dp * micro * accumulate, seq_len=4096,
        recompute=draw(st.sampled_from(["none", "selective", "full"])),
        precision=draw(st.sampled_from(["bf16", "fp8"])),
        sharding=draw(st.sampled_from(["none", "optimizer", "gradients", "parameters"])),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(model=st.sampled_from(MODELS), layout=layouts())
def test_a_step_takes_at_least_its_flops_at_the_peak(model, layout):
    case = setting(model, layout)
    spec, card = load_model(model), load_gpu("h100")
    flops = training_flops_per_token(spec, layout.seq_len) * layout.global_batch_size * layout.seq_len
    assert float(step(case).step) > flops / (layout.world_size * card.peak(layout.precision))


@settings(max_examples=60, deadline=None)
@given(model=st.sampled_from(MODELS), layout=layouts())
@example(  # the stage after the first has more gradients to reduce than the first: nothing of the first's is hidden
    model="deepseek-v3-671b",
    layout=Layout(
        precision="bf16",
        tp=4,
        pp=8,
        cp=2,
        ep=8,
        dp_shard=16,
        micro_batch_size=1,
        global_batch_size=128,
        seq_len=4096,
        sharding="none",
    ),
)
@example(  # two stages, both ends: neither is full
    model="mixtral-8x7b",
    layout=Layout(
        tp=4,
        pp=2,
        vp=6,
        cp=2,
        etp=4,
        micro_batch_size=1,
        global_batch_size=16,
        seq_len=8192,
        recompute="full",
        precision="fp8",
        sharding="optimizer",
    ),
)
@example(  # parameters gathered in every pass, two stages that lack layers
    model="mixtral-8x7b",
    layout=Layout(precision="bf16",
        tp=2, pp=2, vp=3, cp=4, ep=2, etp=2, dp_shard=64, micro_batch_size=1, global_batch_size=1024, seq_len=4096,
        sharding="parameters",
    ),
)  # fmt: skip
def test_the_parts_of_a_step_add_up_and_none_is_negative(model, layout):
    predicted = step(setting(model, layout))
    parts = [float(getattr(predicted, name)) for name in part_names(predicted)]
    assert sum(parts) == pytest.approx(float(predicted.step), rel=1e-9)
    assert min(parts) >= -1e-9


@settings(max_examples=60, deadline=None)
@given(model=st.sampled_from(MODELS), layout=layouts())
def test_more_recompute_needs_no_more_memory_and_no_less_time(model, layout):
    cases = [setting(model, layout.model_copy(update={"recompute": r})) for r in ("none", "selective", "full")]
    none, selective, full = (float((m := memory_bytes(c)).activations + m.logits) for c in cases)
    assert none >= selective >= full * 0.999
    times = [float(step(case).step) for case in cases]
    assert times[0] <= times[2] * (1 + 1e-9)
    assert times[0] <= times[1] * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(model=st.sampled_from(MODELS), layout=layouts())
def test_tokens_are_conserved_by_every_cut(model, layout):
    case = setting(model, layout)
    ranks = layout.tp * layout.cp * layout.data_parallel
    in_all = float(tokens(case.layout)) * layout.cp * layout.data_parallel * layout.accumulation_steps
    assert in_all == layout.global_batch_size * layout.seq_len
    copies = float(expert_tokens(case.model, case.layout)) / layout.etp * ranks * layout.accumulation_steps
    assert copies == pytest.approx(in_all * float(case.model.top_k))


@pytest.mark.parametrize("model", MODELS)
def test_the_products_of_all_layers_are_the_models_flops(model):
    """Six times the products and attention: against the counts that are held against PyTorch."""
    spec, length = load_model(model), 4096
    case = setting(model, Layout(precision="bf16", micro_batch_size=1, global_batch_size=1, seq_len=length))
    moe, dense = spec.n_moe_layers, spec.n_layers if spec.dense_beside_experts else spec.n_dense_layers
    share = {
        "attention projections": spec.n_layers,
        "dense MLP": dense,
        "experts": moe,
        "router": moe,
        "output head": 1,
    }
    products = sum(float(p.flops) * share[p.part.value] for p in matmuls(case.model, case.layout))
    attention = 2 * spec.n_layers * spec.n_heads * (spec.head_dim + float(case.model.v_head_dim)) * (length + 1) / 2
    counted = training_flops_per_token(spec, length) * length
    assert 3 * (products + attention * length) == pytest.approx(counted, rel=2e-3)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("tp", "ep"), [(1, 1), (4, 8)])
def test_ranks_together_hold_the_model(model, tp, ep):
    spec = load_model(model)
    case = setting(model, Layout(precision="bf16", tp=tp, ep=ep, dp_shard=8, global_batch_size=64, micro_batch_size=1))
    held = stage_parameters(case.model, case.layout, case.model.n_layers, 1.0 + case.model.untied)
    count = count_parameters(spec)
    shared = count.total - count.experts
    assert float(held.experts) * ep == pytest.approx(count.experts, rel=1e-3)
    routers = spec.moe.n_experts if spec.moe else 0
    latents = float(case.model.q_rank + case.model.kv_rank + case.model.rope_dim)
    whole_on_each = spec.n_layers * spec.dim * (routers + latents)
    if tp == 1:
        assert float(held.shared) == pytest.approx(shared, rel=2e-2)
    else:
        assert shared / tp <= float(held.shared) * 1.02
        assert float(held.shared) <= shared / tp * 1.1 + whole_on_each


def test_a_thousand_rows_are_priced_as_one_by_one():
    base = Layout(precision="bf16", tp=4, pp=4, dp_shard=8, micro_batch_size=1, global_batch_size=256, seq_len=4096)
    columns = LayoutColumns.stack(
        [LayoutColumns.of(base.model_copy(update={"tp": tp, "dp_shard": 32 // tp})) for tp in (1, 2, 4, 8)]
    )
    case = setting("grok-1", base)
    many = replace(case, layout=columns, sequence_parallel=(columns.tp > 1) * 1.0)
    together = step(many).step
    alone = [float(step(setting("grok-1", columns.layout(row))).step) for row in range(4)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)

"""Models whose layers are of several kinds: windows, states, layers that are an MLP alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from kolossos.errors import InputError
from kolossos.plan.closed_form.layer_kernels import layer_kernels
from kolossos.plan.closed_form.memory import memory_bytes
from kolossos.plan.closed_form.parameters import stage_parameters
from kolossos.plan.closed_form.step import step_seconds
from kolossos.plan.closed_form.work import Part, matmuls
from kolossos.plan.columns import ModelColumns
from kolossos.plan.job import Job
from kolossos.plan.search.layout_parts import price_if_allowed, price_layouts
from kolossos.specs.catalogue import load_cluster, load_model
from kolossos.specs.counts import count_parameters, training_flops_per_token
from kolossos.specs.huggingface import spec_from_config
from kolossos.specs.layers import LayerKind
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

ENTRIES = json.loads((Path(__file__).parents[1] / "specs/data/decoder_configs.json").read_text(encoding="utf-8"))
SEVERAL = (
    "Qwen3.5-35B-A3B", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16", "Jamba-v0.1",
    "gemma-4-26B-A4B", "MiMo-V2-Flash", "Kimi-Linear-48B-A3B", "Llama-3_3-Nemotron-Super-49B-v1", "LongCat-Flash",
    "GLM-5", "Falcon-H1-0.5B", "Gemma-3-27B",
)  # fmt: skip


def spec(name: str) -> ModelSpec:
    return spec_from_config(ENTRIES[name]["config"], name)


def job(model: ModelSpec, cluster: str = "dgx-h100-64", **asked) -> Job:
    return Job.of(model, load_cluster(cluster), precision="bf16", **asked)


def one(**values) -> Layout:
    return Layout(**{"precision": "bf16", "micro_batch_size": 1, "global_batch_size": 64, "seq_len": 4096, **values})


@pytest.mark.parametrize("name", SEVERAL)
def test_the_products_of_all_kinds_are_the_models_flops(name: str) -> None:
    """Of a token, six times: against the counts, which are held against transformers' networks."""
    model, length = spec(name), 4096
    columns = ModelColumns.of(model)
    layout = job(model).setting_of([one(seq_len=length)]).layout
    products = 0.0
    for kind in columns.by_kind():
        moe = float(kind.n_moe_layers / kind.n_layers)
        dense = (1.0 if float(kind.dense_beside_experts) else 1.0 - moe) * (float(kind.ffn_dim) > 0)
        shares = {Part.DENSE: dense, Part.EXPERTS: moe, Part.ROUTER: moe, Part.HEAD: 0.0, Part.STATE_CORE: 0.0}
        layers = float(kind.share) * model.n_layers
        products += layers * sum(float(p.flops[0]) * shares.get(p.part, 1.0) for p in matmuls(kind, layout))
    products += 2.0 * model.vocab_size * model.dim * length
    assert products / length == pytest.approx(2.0 * count_parameters(model).matmul_active, rel=5e-3)


@pytest.mark.parametrize("name", SEVERAL)
def test_one_rank_alone_holds_the_model(name: str) -> None:
    model = spec(name)
    setting = job(model).setting_of([one()])
    held = stage_parameters(setting.model, setting.layout, setting.model.n_layers, 1.0 + setting.model.untied)
    count = count_parameters(model)
    assert float(held.experts[0]) == pytest.approx(count.experts, rel=1e-3)
    assert float(held.shared[0]) == pytest.approx(count.total - count.experts, rel=1e-2)


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "llama3-8b"])
def test_a_kind_that_differs_in_nothing_that_counts_is_priced_as_the_model(name: str) -> None:
    """A window that no sequence is as long as makes a kind of its own, and must change nothing."""
    plain = load_model(name)
    kind = LayerKind(name="far", window=10**7)
    split = plain.model_copy(update={"layer_kinds": (kind,), "layer_pattern": ("far", "usual", "usual", "far")})
    layouts = [one(tp=4, pp=2, dp_shard=8, recompute="selective"), one(cp=2, dp_shard=32, sharding="parameters")]
    for layout in layouts:
        prices = [price_layouts(job(model), [layout])[0] for model in (plain, split)]
        assert prices[1].step_time_s == pytest.approx(prices[0].step_time_s, rel=1e-12)
        assert prices[1].choice.memory_bytes == pytest.approx(prices[0].choice.memory_bytes, rel=1e-12)
    assert training_flops_per_token(split, 4096) == pytest.approx(training_flops_per_token(plain, 4096))


def test_windows_halve_the_attention_of_gpt_oss_at_full_length() -> None:
    """Every second layer sees 128 tokens; the step, of which attention was three quarters, takes 37 % less."""
    windowed = load_model("gpt-oss-20b")
    full = windowed.model_copy(update={"attn_windows": ()})
    layout = one(tp=4, ep=8, dp_shard=16, global_batch_size=32, seq_len=131_072, recompute="full")
    with_, without = (price_layouts(job(model), [layout])[0] for model in (windowed, full))
    assert with_.parts["attention"] == pytest.approx(0.5 * without.parts["attention"], rel=0.03)
    assert with_.step_time_s / without.step_time_s == pytest.approx(0.63, abs=0.06)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_longer_window_takes_longer_up_to_attention_to_all(chunked: bool) -> None:
    plain = load_model("llama3-8b")
    times = []
    for window in (128, 512, 2048, 8192, 0):
        model = plain.model_copy(update={"attn_windows": (window,), "attn_chunked": chunked, "max_seq_len": 32_768})
        layout = one(tp=2, dp_shard=32, seq_len=32_768)
        times.append(price_layouts(job(model), [layout])[0].parts["attention"])
    assert times == sorted(times)
    assert times[0] < 0.1 * times[-1]


def test_states_grow_with_the_sequence_and_attention_with_its_square() -> None:
    model = spec("Qwen3.5-35B-A3B")
    linear = model.model_copy(update={"layer_pattern": ("state",)})
    layouts = [one(dp_shard=64, seq_len=n, ep=8, recompute="full") for n in (32_768, 65_536)]
    for case, growth in ((linear, 2.0), (model, 3.0)):
        short, long = (p.parts["attention"] for p in price_layouts(job(case), layouts))
        assert long / short == pytest.approx(growth, rel=0.25)


def test_rows_of_models_with_and_without_kinds_are_priced_as_one_by_one() -> None:
    models = [spec("Qwen3.5-35B-A3B"), load_model("qwen3-30b-a3b"), spec("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")]
    layout = one(tp=2, ep=8, dp_shard=32)
    stacked = ModelColumns.stack([ModelColumns.of(model) for model in models])
    setting = job(models[0]).setting_of([layout] * 3)
    setting = type(setting)(stacked, setting.hardware, setting.software, setting.layout, setting.sequence_parallel)
    steps = step_seconds(layer_kernels(stacked, setting.hardware, setting.layout), setting).step
    alone = [price_layouts(job(model), [layout])[0] for model in models]
    np.testing.assert_allclose(steps, [priced.step_time_s for priced in alone], rtol=1e-12)
    np.testing.assert_allclose(
        memory_bytes(setting).total, [priced.choice.memory_bytes for priced in alone], rtol=1e-12
    )


def test_tp_must_divide_the_heads_of_every_kind() -> None:
    model = spec("Falcon-H1-0.5B")  # 8 heads of attention, 24 of the state
    with pytest.raises(InputError, match=r"tp = 16 does not divide n_heads = \d+.*try tp = 8"):
        price_if_allowed(job(model), one(tp=16, dp_shard=4))
    assert price_if_allowed(job(model), one(tp=8, dp_shard=8)).step_time_s > 0

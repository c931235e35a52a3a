"""The search finds what counting all layouts one by one finds, and its front, mixes and remedies hold."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolossos.errors import InputError
from kolossos.plan.answer.explain import purchases
from kolossos.plan.answer.one_kind import answer
from kolossos.plan.answer.step_promise import promise_step
from kolossos.plan.closed_form.memory import memory_bytes
from kolossos.plan.closed_form.stage_memory import memory_by_stage
from kolossos.plan.job import Job
from kolossos.plan.mixed.stages import spread_layers, stages_of
from kolossos.plan.mixed.ways import plan_mixed
from kolossos.plan.rules.check import check
from kolossos.plan.search.layout_parts import price_layouts
from kolossos.plan.search.pareto import undominated
from kolossos.plan.search.search import search
from kolossos.plan.search.space import MICRO_BATCHES, SHARDS, axes, near, smooth_numbers
from kolossos.specs.catalogue import load_cluster, load_model
from kolossos.specs.cluster import ClusterSpec, PoolSpec
from kolossos.specs.layout import Layout

LLAMA = load_model("llama-3.1-8b")
SHALLOW = LLAMA.model_copy(update={"n_layers": 8})
MIXTRAL = load_model("mixtral-8x7b")
FEW_EXPERTS = MIXTRAL.model_copy(
    update={"n_layers": 4, "moe": MIXTRAL.moe and MIXTRAL.moe.model_copy(update={"n_experts": 4})}
)
SCHEDULES, RECOMPUTES = ("1f1b", "zero-bubble"), ("none", "selective", "full")


def job_of(model, n_gpus: int, batch: int = 16, precision="bf16") -> Job:
    cluster = load_cluster("dgx-h100-64")
    return Job.of(model, cluster, n_gpus=n_gpus, seq_len=4096, global_batch=batch, precision=precision)


def every_layout(job: Job) -> list[Layout]:
    """All layouts that keep the rules, tried one by one."""
    model, n, found = job.model, job.n_gpus, []
    experts = model.moe.n_experts if model.moe else 1
    shapes = product((1, 2, 4, 8), range(1, n + 1), range(1, model.n_layers + 3), (1, 2, 4, 8), smooth_numbers(n))
    for tp, pp, vp, cp, dp in shapes:
        if not n / 8 <= tp * pp * cp * dp <= n or pp * vp > model.n_layers + 2 or (vp > 1 and pp == 1):
            continue
        kinds = [("none", 1), *product(("optimizer", "gradients", "parameters"), {s or int(dp) for s in SHARDS})]
        for ep, etp, size in product(range(1, experts + 1), (1, 2, 4, 8), MICRO_BATCHES):
            for (sharding, shard), schedule in product(kinds, SCHEDULES):
                if (dp * cp == 1 and sharding != "none") or dp % shard or job.batch % (size * dp):
                    continue
                if shard == 1 and dp > 1 and sharding != "none":
                    continue
                values = {
                    "tp": tp, "pp": pp, "vp": vp, "cp": cp, "ep": ep, "etp": etp, "dp_shard": int(shard),
                    "dp_replicate": int(dp / shard), "micro_batch_size": int(size), "schedule": schedule,
                    "sharding": sharding, "global_batch_size": int(job.batch), "seq_len": job.seq_len,
                    "precision": job.precisions[0],
                }  # fmt: skip
                try:
                    check(Layout.model_validate(values), job.bounds)
                except InputError:
                    continue
                found += [Layout.model_validate({**values, "recompute": recompute}) for recompute in RECOMPUTES]
    return found


@pytest.mark.parametrize(("model", "n_gpus", "batch"), [(LLAMA, 4, 8), (FEW_EXPERTS, 4, 4)])
def test_the_search_prices_every_layout_once_and_finds_the_best(model, n_gpus, batch):
    job = job_of(model, n_gpus, batch)
    job = replace(job, any_schedule=True)
    layouts, found = every_layout(job), search(job)
    assert found.priced == len(layouts)
    priced = price_layouts(job, layouts)
    bounds = memory_bytes(job.setting_of(layouts)).total  # a search's: a stage that has the most of each part
    fitting = [p.choice for p, most in zip(priced, bounds, strict=True) if most <= job.usable_bytes]
    assert all(p.choice.memory_bytes <= most * (1 + 1e-12) for p, most in zip(priced, bounds, strict=True))
    assert found.fitting == len(fitting)
    for objective, key in (("time", "seconds_per_token"), ("cost", "usd_per_token"), ("energy", "joules_per_token")):
        best = search(job, objective).best
        lowest = min((getattr(choice, key) for choice in fitting), default=None)
        assert (best is None) == (lowest is None)
        if best is not None:
            assert getattr(best, key) == pytest.approx(lowest, rel=1e-12)
    assert found.leanest is not None
    assert found.leanest.memory_bytes == pytest.approx(min(bounds), rel=1e-12)
    _front_is_that_of(found, fitting)


def _front_is_that_of(found, fitting):
    points = np.array([(c.seconds_per_token, c.n_gpus, c.joules_per_token) for c in fitting]).reshape(-1, 3)
    whole = {tuple(np.round(np.log(points[row]), 9)) for row in undominated(points)}
    kept = np.array([(c.seconds_per_token, c.n_gpus, c.joules_per_token) for c in found.front]).reshape(-1, 3)
    assert {tuple(np.round(np.log(row), 9)) for row in kept} == whole


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 6)] * 4), min_size=1, max_size=40))
def test_a_front_has_no_dominated_point_and_leaves_none_out(rows):
    points = np.array(rows, dtype=float)
    kept = points[undominated(points)]
    for point in points:
        assert (kept <= point).all(axis=1).any()
    for i, point in enumerate(kept):
        others = np.delete(kept, i, axis=0)
        assert not (others <= point).all(axis=1).any()


@pytest.fixture(scope="module")
def grok():
    cluster = load_cluster("dgx-h100-256")
    job = Job.of(load_model("grok-1"), cluster, precision="fp8", global_batch_tokens=8e6)
    return answer(job, cluster, 1e12)


def test_the_choice_of_the_search_is_what_the_parts_add_up_to(grok):
    best, priced = grok.found.best, grok.priced
    assert priced.step_time_s == pytest.approx(best.step_time_s, rel=1e-12)
    assert priced.choice.memory_bytes == pytest.approx(best.memory_bytes, rel=1e-12)
    assert priced.choice.joules_per_token == pytest.approx(best.joules_per_token, rel=1e-9)
    assert sum(priced.parts.values()) == pytest.approx(priced.step_time_s, rel=1e-6)
    assert best.layout.accumulation_steps * best.layout.micro_batch_size * best.layout.data_parallel == (
        best.layout.global_batch_size
    )
    assert abs(best.layout.global_batch_size / grok.job.batch - 1) <= grok.job.batch_slack


def test_no_plan_beats_its_flops_at_the_peak_or_its_weights_through_memory(grok):
    job, priced = grok.job, grok.priced
    assert 0 < priced.mfu < 1
    assert 0 < priced.busy_share < 1
    streamed = priced.memory_parts["weights"] * 3 * priced.layout.accumulation_steps
    assert priced.step_time_s > streamed / job.gpu.memory_bandwidth_bytes_per_s / priced.layout.pp


def test_the_event_schedule_bears_the_chosen_step_out(grok):
    assert grok.played.step_s == pytest.approx(grok.priced.step_time_s, rel=0.02)


def test_a_runner_up_is_slower_by_the_parts_it_loses_and_another_layout(grok):
    assert grok.runner_ups
    for rival in grok.runner_ups:
        assert rival.slower >= 0
        assert rival.differs
        assert rival.priced.choice.memory_bytes <= grok.job.gpu.memory_bytes


def test_no_stage_needs_more_than_the_fullest_is_said_to(grok):
    for layout in [grok.priced.layout, *(rival.priced.layout for rival in grok.runner_ups)]:
        stages = memory_by_stage(grok.job.setting_of([layout]))
        whole = price_layouts(grok.job, [layout])[0].choice.memory_bytes
        assert sum(stage.layers for stage in stages) == grok.job.model.n_layers
        assert max(stage.total for stage in stages) <= whole * (1 + 1e-9)


def test_days_energy_and_rent_follow_from_the_step(grok):
    bill, layout = grok.bill, grok.priced.layout
    steps = 1e12 / grok.priced.tokens_per_step
    assert bill.days == pytest.approx(steps * grok.priced.step_time_s / 86_400)
    assert bill.rent_usd == pytest.approx(bill.gpu_hours * grok.job.usd_per_gpu_hour)
    idle, full = grok.job.gpu.idle_watts, grok.job.gpu.tdp_watts
    host, pue = grok.job.power.host_watts_per_gpu, grok.job.power.pue
    watts = bill.energy_joules / (bill.gpu_hours * 3600)
    assert (idle + host) * pue < watts < (full + host) * pue
    assert layout.world_size <= grok.job.n_gpus
    low, high = grok.intervals["days"]
    assert low < bill.days < high


def test_better_hardware_never_makes_the_best_plan_worse(grok):
    for purchase in purchases(grok):
        assert purchase.gain >= 0
    assert len(near(grok.job, grok.priced.layout).groups) < len(axes(grok.job).groups)


def test_where_nothing_fits_the_miss_and_the_remedies_are_said():
    llama = load_model("llama-3.1-405b")
    with pytest.raises(
        InputError, match=r"nothing fits.*needs 1?[\d,.]+ GiB.*GiB too much.*would fit on about"
    ) as error:
        promise_step(llama, load_cluster("dgx-h100-8"))
    remedy = int(str(error.value).split("on about ")[1].split(" GPUs")[0].replace(",", ""))
    roomier = load_cluster("dgx-h100-1024")
    assert search(Job.of(llama, roomier, n_gpus=2 * remedy)).best is not None


def test_a_promise_is_the_plan_and_a_given_layout_is_kept_or_refused():
    cluster = load_cluster("dgx-h100-64")
    layout = Layout(
        precision="bf16",
        tp=4,
        pp=1,
        dp_shard=16,
        micro_batch_size=1,
        global_batch_size=64,
        seq_len=4096,
        sharding="optimizer",
    )
    promise = promise_step(LLAMA, cluster, layout)
    assert promise.n_gpus == 64
    assert promise.layout == layout
    assert promise.step_time_low_s < promise.step_time_s < promise.step_time_high_s
    assert promise.tokens_per_step == 64 * 4096
    best = promise_step(LLAMA, cluster, n_gpus=64)
    assert best.tokens_per_step / best.step_time_s > promise.tokens_per_step / promise.step_time_s
    with pytest.raises(InputError, match="tp divides the heads"):
        promise_step(LLAMA, cluster, layout.model_copy(update={"tp": 5}))


@pytest.fixture(scope="module")
def mixed():
    base = load_cluster("dgx-h100-64")
    pools = [PoolSpec(gpu="h100", count=16), PoolSpec(gpu="a100-80g", count=8)]
    cluster = ClusterSpec(name="mixed", pools=pools, fabric=base.fabric)
    jobs = [Job.of(SHALLOW, cluster, p, seq_len=2048, global_batch_tokens=1e6, precision="bf16") for p in pools]
    return jobs, plan_mixed(jobs)


def test_a_mixed_cluster_shares_all_the_work_out_by_speed(mixed):
    _jobs, outcome = mixed
    assert {"data-parallel shares", "islands", "h100 alone"} <= {plan.how for plan in outcome.plans}
    for plan in outcome.plans:
        assert sum(part.share_of_tokens for part in plan.contributions) == pytest.approx(1)
        assert plan.n_gpus <= 24
        for part in plan.contributions:
            assert part.memory_bytes <= part.memory_of
            assert part.step_time_s <= plan.step_time_s * (1 + 1e-9)
    shares = next(plan for plan in outcome.plans if plan.how == "data-parallel shares")
    sequences = sum(part.layout.global_batch_size for part in shares.contributions)
    assert sequences * 2048 == pytest.approx(shares.tokens_per_step)
    per_gpu = {part.gpu: part.share_of_tokens / part.n_gpus for part in shares.contributions}
    assert 1.5 < per_gpu["h100"] / per_gpu["a100-80g"] < 4
    alone = next(plan for plan in outcome.plans if plan.how == "h100 alone")
    assert shares.seconds_per_token < alone.seconds_per_token
    assert outcome.best is not None
    assert outcome.best.synchronous


def test_two_pools_of_one_kind_are_as_good_as_one(mixed):
    jobs, _ = mixed
    halves = [replace(jobs[0], n_gpus=8), replace(jobs[0], n_gpus=8)]
    together = next(p for p in plan_mixed(halves).plans if p.how == "data-parallel shares")
    whole = search(replace(jobs[0], n_gpus=16)).best
    assert whole is not None
    assert together.seconds_per_token == pytest.approx(whole.seconds_per_token, rel=0.03)


def test_stages_on_two_pools_of_one_kind_take_as_long_as_one_pipeline(mixed):
    jobs, _ = mixed
    small_head = SHALLOW.model_copy(update={"vocab_size": 1024})
    half = replace(jobs[0], n_gpus=8, model=small_head)
    layout = Layout(
        precision="bf16",
        tp=2,
        pp=4,
        dp_shard=2,
        micro_batch_size=1,
        global_batch_size=488,
        seq_len=2048,
        sharding="optimizer",
    )
    split = stages_of([half, half], [layout])
    assert split is not None
    step, tokens, parts = split
    whole = price_layouts(replace(half, n_gpus=16), [parts[0].layout])[0]
    assert tokens == whole.tokens_per_step
    assert step == pytest.approx(whole.step_time_s, rel=0.02)
    assert sum(sum(part.layers) for part in parts) == SHALLOW.n_layers


@given(
    st.integers(8, 80),
    st.lists(st.floats(0.5, 3), min_size=2, max_size=8),
    st.floats(0, 2),
)
@settings(max_examples=50, deadline=None)
def test_layers_are_spread_so_that_no_move_makes_the_slowest_stage_faster(n_layers, seconds, head):
    ends = [0.0] * (len(seconds) - 1) + [head]
    layers = spread_layers(n_layers, seconds, ends)
    assert sum(layers) == n_layers
    assert min(layers) >= 1
    times = [n * s + e for n, s, e in zip(layers, seconds, ends, strict=True)]
    slowest = times.index(max(times))
    if layers[slowest] > 1:
        for other in range(len(seconds)):
            if other != slowest:
                assert times[other] + seconds[other] >= max(times) - 1e-9


def test_a_search_chooses_only_schedules_that_the_software_has():
    job = Job.of(LLAMA, load_cluster("dgx-h100-64"), global_batch=64)
    assert job.schedules == ("1f1b",)
    assert replace(job, software="fsdp2-2025").schedules == SCHEDULES
    assert replace(job, any_schedule=True).schedules == SCHEDULES

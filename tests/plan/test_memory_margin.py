"""Memory with a margin: a favourite leaves some of the card free, one number everywhere, and how likely it fits."""

import pytest

from kolossos.errors import InputError
from kolossos.plan.answer.one_kind import answer
from kolossos.plan.answer.record import answer_record
from kolossos.plan.answer.request import PlanRequest, answer_question, read_request
from kolossos.plan.job import MEMORY_MARGIN, Job
from kolossos.plan.published.interval import memory_interval, probability_within
from kolossos.specs.catalogue import load_cluster, load_model

BRIDGE = "tp=4,pp=4,cp=1,dp_shard=2,micro_batch_size=1,precision=fp8"


def job(model: str, cluster: str = "dgx-h100-64", **asked) -> Job:
    return Job.of(load_model(model), load_cluster(cluster), **asked)


@pytest.mark.parametrize(("model", "cluster"), [("llama3.1-70b", "dgx-h100-256"), ("gpt-oss-20b", "dgx-h100-64")])
def test_a_favourite_takes_at_most_92_percent_unless_more_is_asked_for(model: str, cluster: str) -> None:
    card = job(model, cluster).gpu.memory_bytes
    used = answer(job(model, cluster), load_cluster(cluster), 1e12).priced.choice.memory_bytes
    assert used <= (1 - MEMORY_MARGIN) * card
    asked = answer(job(model, cluster, memory_margin=0.0), load_cluster(cluster), 1e12)
    assert (
        asked.priced.choice.seconds_per_token
        <= answer(job(model, cluster), load_cluster(cluster), 1e12).priced.choice.seconds_per_token
    )


@pytest.mark.parametrize("layout", ["tp=4,pp=4,vp=5,dp_shard=4", "tp=8,pp=7,vp=1,dp_shard=1", "tp=8,dp_shard=8"])
def test_one_number_above_and_in_the_table_of_stages(layout: str) -> None:
    request = PlanRequest(
        model="llama3.1-70b", cluster="dgx-h100-64", tokens=1e12, layout=f"{layout},micro_batch_size=1"
    )
    found = answer_question(read_request(request))
    record = answer_record(found, [])
    assert record["memory_bytes"] == pytest.approx(
        max(stage["total"] for stage in record["memory_by_stage"]), rel=1e-12
    )
    assert record["memory_bytes"] == pytest.approx(sum(record["memory_parts"].values()), rel=1e-12)


def test_the_probability_is_that_of_the_interval() -> None:
    """Half at the card's size; 95 % where the interval's upper end meets it, 5 % where its lower end does."""
    card = 80.0
    low, high = memory_interval(card)
    assert probability_within(card, card) == pytest.approx(0.5)
    assert probability_within(card, high) == pytest.approx(0.95)
    assert probability_within(card, low) == pytest.approx(0.05)


@pytest.mark.parametrize(("margin", "fits"), [(None, False), (0.0, True)])
def test_a_given_layout_is_held_against_the_same_margin(margin: float | None, fits: bool) -> None:
    request = PlanRequest(
        model="llama3.1-70b", cluster="dgx-h100-64", tokens=1e12, memory_margin=margin, global_batch=64,
        layout="tp=4,pp=4,dp_shard=4,micro_batch_size=2,sharding=optimizer,recompute=none,seq_len=4096,precision=bf16",
    )  # fmt: skip
    found = answer_question(read_request(request))
    assert 0.92 < found.priced.choice.memory_bytes / found.job.gpu.memory_bytes < 1.0
    assert found.fits == fits


@pytest.mark.parametrize("margin", [-0.1, 1.0, float("nan")])
def test_a_margin_is_a_share(margin: float) -> None:
    with pytest.raises(InputError, match="memory_margin"):
        read_request(PlanRequest(model="llama3-8b", cluster="dgx-h100-8", tokens=1e12, memory_margin=margin))

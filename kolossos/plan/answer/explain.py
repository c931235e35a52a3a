"""Why a plan takes as long as it does, and what the next euro should buy.

A purchase is priced by searching again near the chosen layout with the hardware changed, the batch unchanged. What a
purchase costs is taken as a share of the rent of all GPUs; each share is stated with where it comes from.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from kolossos.plan.answer.one_kind import Answer
from kolossos.plan.job import Job
from kolossos.plan.search.prices import Choice
from kolossos.plan.search.search import search
from kolossos.plan.search.space import near

DECIDES = 0.05
"""A part of the step that takes at least this share is named."""


@dataclass(frozen=True)
class Offer:
    """A change of the hardware, and what it adds to the rent of the GPUs."""

    name: str
    extra_cost: float
    source: str
    change: Callable[[Job], Job]


@dataclass(frozen=True)
class Purchase:
    """What an offer gains: share of throughput, and that over the share of cost; above 1 it pays for itself."""

    name: str
    gain: float
    extra_cost: float
    source: str
    choice: Choice

    @property
    def gain_per_cost(self) -> float:
        """Per cent of throughput for each per cent of cost."""
        return self.gain / self.extra_cost


OFFERS = (
    Offer(
        "fabric twice as fast",
        0.15,
        "assumption: the fabric is about 15 % of a cluster's cost, and doubling it doubles that",
        lambda job: replace(
            job, fabric=job.fabric.model_copy(update={"nic_bytes_per_s": 2 * job.fabric.nic_bytes_per_s})
        ),
    ),
    Offer(
        "NVLink twice as fast",
        0.10,
        "assumption: no card sells with two speeds of NVLink",
        lambda job: replace(job, gpu=job.gpu.model_copy(update={"nvlink_bytes_per_s": 2 * job.gpu.nvlink_bytes_per_s})),
    ),
    Offer(
        "NVLink domain of 72",
        0.065,
        "catalogue: GB200 rents at 3.30 USD an hour, B200 at 3.10",
        lambda job: replace(job, nvlink_domain=max(72, job.nvlink_domain)),
    ),
    Offer(
        "memory half as large again",
        0.32,
        "catalogue: H200 rents at 3.50 USD an hour, H100 at 2.35, for 61 GB more (and faster) memory",
        lambda job: replace(job, gpu=job.gpu.model_copy(update={"memory_bytes": 1.5 * job.gpu.memory_bytes})),
    ),
    Offer(
        "memory bandwidth up by 40 %",
        0.32,
        "catalogue: the same step from H100 to H200",
        lambda job: replace(
            job,
            gpu=job.gpu.model_copy(update={"memory_bandwidth_bytes_per_s": 1.4 * job.gpu.memory_bandwidth_bytes_per_s}),
        ),
    ),
    Offer(
        "a tenth more GPUs",
        0.10,
        "the same rent for each",
        lambda job: replace(job, n_gpus=int(job.n_gpus * 1.1)),
    ),
)


def deciding_terms(answer: Answer) -> list[tuple[str, float]]:
    """Parts of the step and their shares of it, largest first, down to ``DECIDES``."""
    step = answer.priced.step_time_s
    return [(part, seconds / step) for part, seconds in answer.priced.parts.items() if seconds / step >= DECIDES]


def binding_limits(answer: Answer) -> list[str]:
    """What holds the plan back, in words with figures: memory, links, the pipeline, idle GPUs."""
    priced, job = answer.priced, answer.job
    step, said = priced.step_time_s, []
    used = priced.choice.memory_bytes / job.gpu.memory_bytes
    said.append(f"memory: {used:.0%} of {job.gpu.memory_bytes / 2**30:.0f} GiB is used")
    if answer.found and answer.found.priced:
        said.append(f"memory rules out {1 - answer.found.fitting / answer.found.priced:.0%} of all layouts")
    links = sum(seconds for part, seconds in priced.parts.items() if part.endswith("_exposed"))
    said.append(f"links: communication that nothing hides takes {links / step:.0%} of the step")
    waiting = priced.parts["bubble"] + priced.parts["imbalance"]
    if waiting:
        said.append(f"pipeline: {waiting / step:.0%} of the step goes to filling, draining and uneven stages")
    idle = job.n_gpus - priced.layout.world_size
    if idle:
        said.append(f"batch and divisibility: {idle:,} of {job.n_gpus:,} GPUs stay idle")
    return said


def purchases(answer: Answer) -> list[Purchase]:
    """Every offer, best gain for its cost first. Searches near the chosen layout, some seconds in all."""
    job = answer.job
    bought = []
    for offer in OFFERS:
        changed = offer.change(job)
        found = search(changed, space=near(changed, answer.priced.layout)).best
        if found is not None:
            gain = max(answer.priced.choice.seconds_per_token / found.seconds_per_token - 1.0, 0.0)
            bought.append(Purchase(offer.name, gain, offer.extra_cost, offer.source, found))
    return sorted(bought, key=lambda purchase: -purchase.gain_per_cost)

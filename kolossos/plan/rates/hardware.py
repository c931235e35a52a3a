"""Hardware as columns: one accelerator and the links between its ranks, with the rates that training reaches."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from kolossos.plan.columns import Column, Columns
from kolossos.specs.cluster import FabricSpec
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.gpu_family import CardRates, LinkRates, load_family


def card_rates(card: GpuSpec) -> CardRates:
    """Those of a card, or of its family if the card was never trained on; none if its own file was measured."""
    if card.measured is not None:
        return CardRates.model_validate(dict.fromkeys(CardRates.model_fields, 1.0))
    return load_family(card.family).card_rates(card.name)


def link_rates(card: GpuSpec) -> LinkRates:
    """Those of its family; a measured file holds the rates that were reached, and its latency."""
    if card.measured is None:
        return load_family(card.family).links
    latencies = [fit.latency_s for fit in card.measured.collectives if fit.latency_s]
    first = min(latencies, default=LinkRates.DEFAULT_LATENCY_S)
    return LinkRates(nvlink_efficiency=1.0, fabric_efficiency=1.0, nvlink_latency_s=first)


@dataclass(frozen=True)
class HardwareColumns(Columns):
    """Bytes, seconds and shares. ``gpu`` holds GpuSpecs, for the kernel tables; rates are those reached."""

    gpu: np.ndarray
    matmul_scale_bf16: Column
    matmul_scale_fp8: Column
    matmul_scale_fp4: Column
    attention_scale: Column
    memory_bytes: Column
    memory_bytes_per_s: Column
    nvlink_domain: Column
    nvlink_bytes_per_s: Column
    nic_bytes_per_s: Column
    nvlink_latency_s: Column
    fabric_latency_s: Column
    pod_gpus: Column
    oversubscription: Column
    collective_share: Column
    peak_bf16: Column

    @classmethod
    def of(
        cls,
        gpu: GpuSpec,
        domain: int,
        fabric: FabricSpec,
        *,
        rates: CardRates | None = None,
        links: LinkRates | None = None,
    ) -> Self:
        """The scalars of one kind of GPU in NVLink domains of ``domain`` on ``fabric``; rates are its family's."""
        coefficients, links = rates or card_rates(gpu), links or link_rates(gpu)
        values = {
            "matmul_scale_bf16": coefficients.matmul_scale_bf16,
            "matmul_scale_fp8": coefficients.matmul_scale_fp8,
            "matmul_scale_fp4": coefficients.matmul_scale_fp4,
            "attention_scale": coefficients.attention_scale,
            "memory_bytes": gpu.memory_bytes,
            "memory_bytes_per_s": gpu.memory_bandwidth_bytes_per_s * coefficients.memory_efficiency,
            "nvlink_domain": domain,
            "nvlink_bytes_per_s": gpu.nvlink_bytes_per_s * links.nvlink_efficiency,
            "nic_bytes_per_s": fabric.nic_bytes_per_s * fabric.efficiency * links.fabric_efficiency,
            "nvlink_latency_s": links.nvlink_latency_s,
            "fabric_latency_s": fabric.latency_s,
            "pod_gpus": fabric.pod_gpus or np.inf,
            "oversubscription": fabric.oversubscription,
            "collective_share": links.collective_share,
            "peak_bf16": gpu.peak("bf16"),
        }
        columns = {name: np.float64(value) for name, value in values.items()}
        card = np.empty((), dtype=object)
        card[()] = gpu
        return cls(gpu=card, **columns)  # pyright: ignore[reportArgumentType]

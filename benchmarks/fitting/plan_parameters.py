"""The fitted parameters of the step model: which there are, what is expected of them, and how they enter a prediction.

A card's scale is that of its family times its chip's; a software generation's figure is that of its line times its own.
Each has a prior (from data sheets and microbenchmarks) and a width in log units, so that what the data leave open stays
where the prior put it, and a generation that nobody measured inherits from its line.
"""

from dataclasses import dataclass, replace

import numpy as np

from kolossos.plan.calibrated.coefficients import CHIP_WIDTH, FAMILY, MATMUL, RATES, SOFTWARE
from kolossos.plan.published.measurements import Measurement
from kolossos.plan.rates.software import Software
from kolossos.plan.setting import Setting
from kolossos.specs.gpu import GpuSpec

CHIP = {"a100-40g": "a100", "a100-80g": "a100", "h200": "h100", "h800": "h100"}
"""Cards that carry the same chip at the same power."""

LINES = {
    "megatron-2021": "before FlashAttention",
    "megatron-deepspeed-2022": "before FlashAttention",
    "megatron-deepspeed-2023": "before FlashAttention",
    "megatron-2024": "megatron",
    "megatron-2025": "megatron",
    "megatron-2026": "megatron",
    "megatron-2026-late": "megatron",
    "fsdp-2023": "fsdp",
    "fsdp2": "fsdp",
    "fsdp2-2025": "fsdp",
    "internevo": "fsdp",
    "jax-2023": "jax",
    "jax-2024": "jax",
}

LIMIT = {"memory_efficiency": 0.95, "nvlink_efficiency": 0.95, "fabric_efficiency": 0.95, "collective_share": 1.0}
Name = tuple[str, str, str]


@dataclass(frozen=True)
class Parameters:
    """All parameters in log units, and where each row of the measurements finds its own."""

    names: list[Name]
    prior: np.ndarray
    width: np.ndarray
    upper: np.ndarray
    start: np.ndarray
    setting: Setting
    rows: dict[tuple[str, str], tuple[np.ndarray, ...]]
    printed: dict[str, np.ndarray]

    def apply(self, theta: np.ndarray) -> Setting:
        """The setting of all rows under ``theta``."""

        def column(kind: str, field: str) -> np.ndarray:
            return np.exp(sum(theta[index] for index in self.rows[kind, field]))

        hardware = {field: column("card", field) for field in (*MATMUL, "attention_scale", "collective_share")}
        for field, rate in RATES.items():
            hardware[rate] = self.printed[rate] * column("card", field)
        software = {field: column("software", field) for field in SOFTWARE}
        graphed = self.setting.software.layer_overhead_s == 0
        software["layer_overhead_s"] = np.where(graphed, 0.0, software["layer_overhead_s"])
        return replace(
            self.setting,
            hardware=replace(self.setting.hardware, **hardware),
            software=replace(self.setting.software, **software),
        )

    def value(self, theta: np.ndarray, *names: Name) -> float:
        """The product of some parameters; what is not among them counts as one."""
        known = [theta[self.names.index(name)] for name in names if name in self.names]
        return float(np.exp(sum(known)))


def parameters(
    measurements: list[Measurement], setting: Setting, known: Software, gpus: dict[str, GpuSpec]
) -> Parameters:
    """The parameters that ``measurements`` can speak about."""
    families = sorted({gpu.family for gpu in gpus.values()})
    chips = sorted({CHIP.get(name, name) for name in gpus})
    generations = sorted(LINES)
    lines = sorted(set(LINES.values()))
    table: dict[Name, tuple[float, float]] = {}
    for family in families:
        for field, (value, width) in (MATMUL | FAMILY).items():
            table["family", family, field] = (value, width)
    for chip in chips:
        for field in MATMUL:
            table["chip", chip, field] = (1.0, CHIP_WIDTH)
    for field, (value, line_width, own_width) in SOFTWARE.items():
        table |= {("line", line, field): (value, line_width) for line in lines}
        table |= {("generation", name, field): (1.0, own_width) for name in generations}
    names = list(table)
    place = {name: i for i, name in enumerate(names)}
    prior = np.log([table[name][0] for name in names])
    start = prior.copy()
    start[place["generation", "internevo", "shard_overhead_s"]] = np.log(100.0)
    start[place["generation", "megatron-deepspeed-2022", "micro_batch_overhead_s"]] = np.log(20.0)

    cards = [(gpus[row.gpu].family, CHIP.get(row.gpu, row.gpu)) for row in measurements]
    software = [known.generation_of(row.framework, row.year) for row in measurements]
    rows: dict[tuple[str, str], tuple[np.ndarray, ...]] = {}
    for field in (*MATMUL, *FAMILY):
        rows["card", field] = (np.array([place["family", family, field] for family, _ in cards]),)
        if field in MATMUL:
            rows["card", field] += (np.array([place["chip", chip, field] for _, chip in cards]),)
    for field in SOFTWARE:
        own = np.array([place["generation", name, field] for name in software])
        rows["software", field] = (np.array([place["line", LINES[name], field] for name in software]), own)
    printed = {
        "memory_bytes_per_s": np.array([gpus[row.gpu].memory_bandwidth_bytes_per_s for row in measurements]),
        "nvlink_bytes_per_s": np.array([gpus[row.gpu].nvlink_bytes_per_s for row in measurements]),
        "nic_bytes_per_s": np.array([row.fabric.nic_bytes_per_s * row.fabric.efficiency for row in measurements]),
    }
    upper = np.array([np.log(LIMIT[f]) if f in LIMIT and kind == "family" else np.inf for kind, _, f in names])
    width = np.array([table[name][1] for name in names])
    return Parameters(names, prior, width, upper, start, setting, rows, printed)

"""The fitted coefficients of the step model: what is expected of each, and how wide that is.

A card's figure is that of its family times its chip's; a software generation's is that of its line times its own.
Values are priors from data sheets and microbenchmarks; widths are standard deviations of the logarithm, so that what
data leave open stays where the prior put it. ``benchmarks/fit_plan.py`` fits them to published runs; a measured step of
one's own moves them again (`update.posterior`).
"""

from math import hypot

MATMUL = {"matmul_scale_bf16": (1.15, 0.1), "matmul_scale_fp8": (1.2, 0.1), "matmul_scale_fp4": (1.3, 0.15)}
"""Of a family; a chip's own width is CHIP_WIDTH."""
CHIP_WIDTH = 0.08
FAMILY = {
    "attention_scale": (1.1, 0.1),
    "memory_efficiency": (0.8, 0.08),
    "nvlink_efficiency": (0.75, 0.15),
    "fabric_efficiency": (0.8, 0.15),
    "collective_share": (0.1, 0.4),
}
SOFTWARE = {
    "attention_scale": (1.1, 0.2, 0.15),
    "elementwise_passes": (1.3, 0.25, 0.2),
    "expert_passes": (1.3, 0.2, 0.15),
    "quantize_passes": (1.0, 0.3, 0.25),
    "layer_overhead_s": (4e-5, 0.7, 0.5),
    "step_overhead_s": (2e-2, 0.7, 0.5),
    "micro_batch_overhead_s": (2e-3, 0.7, 1.2),
    "shard_overhead_s": (2e-5, 0.7, 2.0),
    "jitter": (0.004, 0.7, 0.5),
}
"""Prior of the line, width of the line, width of one generation within it."""
RATES = {
    "memory_efficiency": "memory_bytes_per_s",
    "nvlink_efficiency": "nvlink_bytes_per_s",
    "fabric_efficiency": "nic_bytes_per_s",
}
"""The columns that an efficiency is a factor of."""

CARD_WIDTHS = {name: hypot(width, CHIP_WIDTH) for name, (_, width) in MATMUL.items()} | {
    name: width for name, (_, width) in FAMILY.items()
}
SOFTWARE_WIDTHS = {name: hypot(line, own) for name, (_, line, own) in SOFTWARE.items()}
WIDTHS = {("card", name): width for name, width in CARD_WIDTHS.items()} | {
    ("software", name): width for name, width in SOFTWARE_WIDTHS.items()
}
"""Every coefficient that one machine and its software have, with its width."""

"""What an accelerator draws while it trains: the one place for it.

A GPU that computes under a training load draws its design power; one that waits for others still spins on the network:
an 8x H100 node training GPT-3 (mlcommons/training_results_v4.0, smc-dc-power @6fe9543, folded on logged step times)
draws 7.00 kW on the plateau of a step and 5.53 kW at its border. With 8 x 700 W on the plateau the rest of the node
takes 1.40 kW, so a waiting GPU 516 W: 0.69 of the way from its 100 W at idle to its 700 W. This is our reading of one
machine; other cards are taken to behave alike, but where their family's file says otherwise.
"""

from typing import TypeVar

from kolossos.specs.gpu import GpuSpec
from kolossos.specs.gpu_family import load_family

WAITING_SHARE = 0.69
"""Of the way from idle to design power, for a GPU that waits inside a step."""
MEAN_SHARE_OF_TDP = 656.0 / 700.0
"""Mean over a training step of which nothing is known: 0.856 kW a GPU at the node (MLPerf 4.0) less 0.2 kW of host."""
UNMEASURED_SHARES_OF_TDP = (0.6, 0.85, 1.0)
"""Low, middle, high draw of a training GPU whose power nobody measured. Our estimate; 8 H100 nodes measured 0.86 kW a
GPU with their hosts (MLPerf training 4.0 power logs)."""

Share = TypeVar("Share")
"""A float, or an array of floats."""


def gpu_watts(gpu: GpuSpec, busy_share: Share) -> Share:
    """Mean draw of one GPU that computes in ``busy_share`` of the step and waits in the rest."""
    idle, full = gpu.idle or 0.0, gpu.tdp or 0.0
    share = load_family(gpu.family).waiting_share
    waiting = idle + (WAITING_SHARE if share is None else share) * (full - idle)
    return waiting + (full - waiting) * busy_share  # type: ignore[operator,return-value]


def power_known(gpu: GpuSpec) -> bool:
    """Whether its file says what it draws; if not, no energy is printed, and a search weighs time and money alone."""
    return gpu.idle is not None and gpu.tdp is not None

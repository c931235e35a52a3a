"""What can be written down: checkpoint intervals and expected efficiency under the assumptions of their papers.

``mtbf_s`` is the mean time between failures of the whole job, exponential; ``write_s`` what one checkpoint blocks;
``restart_s`` what a failure costs beyond lost work; ``interval_s`` the computing between two checkpoints.
"""

from math import exp, isfinite, sqrt

from kolossos.simulate.scenario import Scenario


def young_interval_s(write_s: float, mtbf_s: float) -> float:
    """Young 1974: sqrt(2 write MTBF)."""
    return sqrt(2.0 * write_s * mtbf_s)


def daly_interval_s(write_s: float, mtbf_s: float) -> float:
    """Daly 2006 (doi:10.1016/j.future.2004.11.016), equation 37, of higher order."""
    if write_s >= 2.0 * mtbf_s:
        return mtbf_s
    x = write_s / (2.0 * mtbf_s)
    return sqrt(2.0 * write_s * mtbf_s) * (1.0 + sqrt(x) / 3.0 + x / 9.0) - write_s


def daly_expected_s(work_s: float, interval_s: float, write_s: float, restart_s: float, mtbf_s: float) -> float:
    """Exact expected wall time (Daly 2006, equation 20): failures also strike while writing and restarting."""
    cycle = mtbf_s * exp(restart_s / mtbf_s) * (exp((interval_s + write_s) / mtbf_s) - 1.0)
    return work_s / interval_s * cycle


def exact_efficiency(interval_s: float, write_s: float, restart_s: float, mtbf_s: float) -> float:
    """Long-run share of wall time in kept work, from the exact expectation."""
    return 1.0 / daly_expected_s(1.0, interval_s, write_s, restart_s, mtbf_s)


def rsc_expected_ettr(interval_s: float, write_s: float, restart_s: float, mtbf_s: float) -> float:
    """Expected effective training time ratio of arXiv:2410.21680: first order in failures, none during recovery."""
    return (1.0 - (restart_s + interval_s / 2.0) / mtbf_s) / (1.0 + write_s / interval_s)


def reference_intervals_s(scenario: Scenario) -> tuple[float, float]:
    """Young's and Daly's interval of this run; what a checkpoint costs them is its blocking part."""
    mtbf = scenario.mtbf_s
    if not isfinite(mtbf):
        return scenario.horizon_s, scenario.horizon_s
    write = max(scenario.spec.checkpoint.blocking, 1e-3)
    return young_interval_s(write, mtbf), daly_interval_s(write, mtbf)

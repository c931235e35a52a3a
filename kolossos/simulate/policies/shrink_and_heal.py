"""The replica that was hit drops out after a stall of all, and comes back when it is whole (FT-HSDP, arXiv:2602.00277).

The living replicas hold every step, so a near failure loses less than one.
"""

from kolossos.simulate.policy import Array, Copies, Policy
from kolossos.simulate.spec import RecoverySpec, SavingSpec


def every_step(saving: SavingSpec, step_s: float) -> Copies:
    """Living replicas are the copies, at no cost."""
    return Copies(step_s, 0.0)


def restart_s(recovery: RecoverySpec, cold_s: Array) -> float:
    """The stall of all replicas."""
    return recovery.stall_s


POLICY = Policy(
    place=4,
    near=("job", "gpu", "node", "rack"),
    copies=every_step,
    restart_s=restart_s,
    replicas_alone=True,
    search={"replicas": (4, 8, 16, 32, 64, 128)},
)

"""Living processes restart in place with a spare for what was lost, and take the state from peers' memory."""

from kolossos.simulate.policy import Array, Policy, peer_copies
from kolossos.simulate.spec import RecoverySpec


def restart_s(recovery: RecoverySpec, cold_s: Array) -> float:
    """A restart inside the processes, and the load from peers."""
    return recovery.in_process_s + recovery.peer_load_s


POLICY = Policy(place=3, near=("job", "gpu", "node"), copies=peer_copies, restart_s=restart_s)

"""The whole job starts cold, and takes the state from peers' memory where a copy outlives the failure."""

from kolossos.simulate.policy import Array, Policy, peer_copies
from kolossos.simulate.spec import RecoverySpec


def restart_s(recovery: RecoverySpec, cold_s: Array) -> Array:
    """A cold start, and the load from peers."""
    return cold_s + recovery.peer_load_s


POLICY = Policy(place=2, near=("job", "gpu", "node"), copies=peer_copies, restart_s=restart_s)

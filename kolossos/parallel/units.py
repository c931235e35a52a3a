"""Which part of a global batch each replica computes when some replicas are away. No torch.

A unit is one micro-batch of one replica: (pass, share). Who computes it changes nothing in its numbers, and they are
added up in an order that does not ask who did (`exchange.py`): so a step has the same bits with any number of replicas.
"""

from collections.abc import Sequence

Unit = tuple[int, int]
"""(pass, share): the sequences of ``share`` in that pass."""


def units_of(members: Sequence[int], shares: int, passes: int) -> dict[int, list[Unit]]:
    """By member what it computes, in order: its own share of every pass, and what the absent ones leave to it.

    Args:
        members: the replicas that are here, ascending, each with the number of its own share.
        shares: how many replicas the layout has. passes: micro-batches of a share in a step.

    The shares of the absent go around among the members, pass by pass.
    """
    absent = [share for share in range(shares) if share not in members]
    units: dict[int, list[Unit]] = {member: [] for member in members}
    for number in range(passes):
        for place, share in enumerate(absent):
            units[members[(number * len(absent) + place) % len(members)]].append((number, share))
        for member in members:
            units[member].append((number, member))
    return units

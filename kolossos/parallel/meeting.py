"""The store where all ranks of a job meet, in a bounded time: rank 0 names those that do not come, and all end."""

import os
import socket
import sys
import time
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore

from kolossos.errors import InputError
from kolossos.parallel.launched import Launched

MEETING_S = 20.0
"""How long the first rank waits for the last, and a rank for the store: with the start of Python all are gone
within 30 s. KOLOSSOS_MEETING_SECONDS is for machines where programs start at very different times."""

GRACE_S = 5.0
"""How much longer the others wait for what rank 0 decides."""

POLL_S = 0.1
SHOWN = 8


def meet(launched: Launched) -> Store:
    """The store of all ranks of this job, once all are there.

    Raises:
        InputError: on rank 0 with the ranks that did not come; ``said`` on the others.
    """
    seconds = float(os.environ.get("KOLOSSOS_MEETING_SECONDS") or MEETING_S)
    address, port = os.environ.get("MASTER_ADDR", "localhost"), int(os.environ.get("MASTER_PORT", "29500"))
    place, host = f"{address}:{port} within {seconds:.0f} s", socket.gethostname()
    store = _store(launched, address, port, seconds)
    if store is None:
        error = InputError(f"rank {launched.rank} on {host} did not reach {place}")
        error.said = launched.rank != 0  # by rank 0, which misses it
        if error.said and launched.local_rank == 0:  # rank 0 may not be there to say it
            print(str(error), file=sys.stderr, flush=True)
        raise error
    store.set(f"here/{launched.rank}", host)
    if store.add("arrived", 1) == launched.world:
        store.set("all", "yes")
    if launched.rank == 0:
        _require_all(launched, store, seconds, place)
    elif not _is_complete(store, seconds + GRACE_S):
        error = InputError("another rank did not come")
        error.said = True
        raise error
    return store


def _require_all(launched: Launched, store: Store, seconds: float, place: str) -> None:
    """On rank 0. It asks again and again, since torch reports a wait that was in vain in lines of its own."""
    deadline = time.monotonic() + seconds
    while not store.check(["all"]):
        if time.monotonic() > deadline:
            missing = [rank for rank in range(launched.world) if not store.check([f"here/{rank}"])]
            if not missing:
                return
            store.set("all", "no")
            time.sleep(2 * POLL_S)  # until the others have read it: the store ends with this process
            shown = ", ".join(map(str, missing[:SHOWN])) + (
                f" and {len(missing) - SHOWN} more" * (len(missing) > SHOWN)
            )
            raise InputError(
                f"{'rank' if len(missing) == 1 else 'ranks'} {shown} of {launched.world} did not reach {place}: look "
                f"whether they run, and whether their hosts reach that address"
            )
        time.sleep(POLL_S)


def _is_complete(store: Store, seconds: float) -> bool:
    """On the others: whether rank 0 found all ranks there."""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if store.check(["all"]):
                return store.get("all") == b"yes"
            time.sleep(POLL_S)
    except RuntimeError:  # rank 0 has left, and the store with it
        pass
    return False


def _store(launched: Launched, address: str, port: int, seconds: float) -> Store | None:
    """As torch's env:// makes it (torchrun's agent may hold it), without waiting for the others; None: not reached."""
    holds = launched.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    if not holds and not _listens(address, port, seconds):
        return None
    try:
        store = TCPStore(
            address,
            port,
            launched.world,
            is_master=holds,
            timeout=timedelta(seconds=seconds),
            wait_for_workers=False,
            multi_tenant=True,
        )
    except RuntimeError:
        return None
    return PrefixStore(f"kolossos/meeting/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _listens(address: str, port: int, seconds: float) -> bool:
    """Whether somebody does, asked by a plain socket: TCPStore goes on trying long after its timeout."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            socket.create_connection((address, port), timeout=left).close()
            return True
        except OSError:
            time.sleep(POLL_S)
    return False

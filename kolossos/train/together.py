"""The processes of one run as one: joined in a process group, of one mind before they begin, one voice for errors."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist

import kolossos
from kolossos.errors import InputError
from kolossos.parallel.launched import Launched
from kolossos.parallel.meeting import meet
from kolossos.specs.run import RunSpec
from kolossos.train.checkpoints.ranks import ALONE, Ranks

Made = TypeVar("Made")

TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others in a collective."""

VOICE = timedelta(seconds=3)
"""How long the other ranks wait for rank 0 to say an error that it has, too."""

HEARD_S, HEARD_POLL_S = 1.0, 0.01
"""How long rank 0, which holds the store, stays for the others to hear that it has spoken."""


@contextmanager
def joined(launched: Launched) -> Iterator[Ranks]:
    """Inside the block the process group of all that were ``launched`` is there, over gloo and, on GPUs, NCCL.

    Of an InputError that all ranks have only rank 0 speaks: at the others its ``said`` is set. They are silent, too,
    where rank 0 has one alone, such as a full disk, and they lose it. A process that ends so ends ``at_once``: the
    threads of its group cannot always be joined where the others have gone.
    """
    if launched.world == 1:
        yield ALONE
        return
    backend = "gloo"
    if use_gpu(launched.local_rank):
        backend = "cpu:gloo,cuda:nccl"
    store = meet(launched)
    dist.init_process_group(backend, store=store, rank=launched.rank, world_size=launched.world, timeout=TIMEOUT)
    try:
        group = dist.new_group(backend="gloo")
        assert isinstance(group, dist.ProcessGroup)
        yield Ranks.of_group(group)
        dist.destroy_process_group()
    except InputError as error:
        error.said, error.at_once = not _speaks(launched.rank), True
        raise
    except RuntimeError as lost:  # another rank has left in the middle of an exchange, and may have said why
        if launched.rank == 0 or _speaks(launched.rank):
            raise
        error = InputError("rank 0 has ended")
        error.said = error.at_once = True
        raise error from lost


def use_gpu(number: int) -> bool:
    """Take this one of the host's GPUs from now on; whether there are any."""
    if torch.cuda.is_available():
        torch.cuda.set_device(number)
        return True
    return False


def _speaks(rank: int) -> bool:
    """Whether this rank is the one to say what ended it: rank 0, or another if rank 0 has nothing to say."""
    store = dist.distributed_c10d._get_default_store()
    if rank == 0:
        store.set("kolossos/said", "yes")
        until = time.monotonic() + HEARD_S
        while store.add("kolossos/heard", 0) < dist.get_world_size() - 1 and time.monotonic() < until:
            time.sleep(HEARD_POLL_S)
        return True
    try:
        store.wait(["kolossos/said"], VOICE)
        store.add("kolossos/heard", 1)
    except RuntimeError:
        return True
    return False


def agreed(ranks: Ranks, work: Callable[[], Made]) -> Made:
    """What ``work`` gives on this rank, if it gives something on every rank.

    Raises:
        InputError: the same on all ranks, that of the first where ``work`` raised one.
    """
    made, reason = None, None
    try:
        made = work()
    except InputError as error:
        reason = str(error)
    reasons = ranks.gather(None if reason is None else (reason, socket.gethostname()))
    failed = [(rank, *found) for rank, found in enumerate(reasons) if found is not None]
    if failed:
        rank, reason, host = failed[0]
        everywhere = len(failed) == ranks.world
        raise InputError(reason if everywhere else f"rank {rank} on {host}: {reason}")
    return made  # type: ignore[return-value]


def require_equal(ranks: Ranks, spec: RunSpec) -> None:
    """InputError if some rank was started with another run file, or runs other code, than rank 0."""
    here = {"run file": spec.model_dump_json(), "Kolossos": _code(), "torch": torch.__version__}
    everywhere = ranks.gather({name: sha256(value.encode()).hexdigest() for name, value in here.items()})
    hosts = ranks.gather(socket.gethostname())
    for rank, there in enumerate(everywhere):
        for name, digest in there.items():
            if digest != everywhere[0][name]:
                what = "another run file (or --set)" if name == "run file" else f"another version of {name}"
                what = what.replace(" (or --set)", " or other values set on the command line")
                raise InputError(f"rank {rank} on {hosts[rank]} has {what} than rank 0 on {hosts[0]}")


def _code() -> str:
    """What stands in the source files of this package."""
    folder = Path(kolossos.__file__).parent
    digest = sha256(kolossos.__version__.encode())
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()

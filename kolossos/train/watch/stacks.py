"""The collective that a thread waits in, read from its stack when somebody asks: a step pays nothing for it.

Torch's flight recorder knows NCCL's collectives alone. A waiting thread stands inside a call of torch.distributed, of
our own collectives or of a pipeline, on every backend; where the host runs ahead of a GPU, NCCL's record is read too.
"""

import linecache
import sys
from types import FrameType
from typing import Any

WORDS = {
    "all_to_all": "all-to-all",
    "all_gather": "all-gather",
    "allgather": "all-gather",
    "reduce_scatter": "reduce-scatter",
    "all_reduce": "all-reduce",
    "allreduce": "all-reduce",
    "broadcast": "broadcast",
    "barrier": "barrier",
    "p2p": "send or receive",
    "recv": "send or receive",
    "wait_tensor": "all-reduce",
}
"""What a name on the stack says, the most telling first."""

FRAMES = 12  # of the innermost, written down


def waiting_in(thread: int) -> dict[str, Any]:
    """The ``collective`` of the thread with this id (None if it is in none), its ``group`` and the innermost ``stack``.

    group: the ranks that take part, where a frame of the collective knows its process group.
    """
    frame = sys._current_frames().get(thread)
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    collective, group = None, None
    for frame in frames:
        path = frame.f_code.co_filename
        if "torch" not in path and "kolossos/parallel" not in path and "kolossos/train/checkpoints/ranks" not in path:
            continue
        line = linecache.getline(path, frame.f_lineno)
        collective = collective or _named(f"{frame.f_code.co_name} {line}")
        if collective is not None and group is None:
            group = _ranks_of(frame.f_locals)
    stack = [f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}" for frame in frames[:FRAMES]]
    return {"collective": collective, "group": group, "stack": stack}


def _named(text: str) -> str | None:
    return next((word for name, word in WORDS.items() if name in text), None)


def _ranks_of(names: dict[str, Any]) -> list[int] | None:
    """The ranks of a process group among the local names of a frame."""
    import torch.distributed as dist

    for value in (names.get("group"), getattr(names.get("self"), "group", None)):
        if isinstance(value, dist.ProcessGroup):
            return dist.get_process_group_ranks(value)
    return None


def of_nccl() -> str | None:
    """What NCCL's flight recorder says of the collective that is under way; None without NCCL or its record."""
    import torch._C._distributed_c10d as c10d

    read = getattr(c10d, "_dump_nccl_trace_json", None)
    if read is None:
        return None
    try:
        return read(includeCollectives=True, onlyActive=True).decode(errors="replace")
    except (RuntimeError, TypeError, AttributeError):
        return None

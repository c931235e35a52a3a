"""Whether the nodes of a job are well, before its first step: products, memory, and the links between neighbours.

    python -m kolossos.launch.health measure FOLDER --index 3 --nodes 9 --meet host:29401    # on each node
    python -m kolossos.launch.health choose FOLDER --nodes 8 --of host1,host2,...            # on one, afterwards

Each node leaves its figures in FOLDER. One that left none, or has a figure below SICK of the median of all, is named
and left out. A node's link is the better one of those to its two neighbours, so that none is blamed for another.
"""

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

from kolossos.errors import InputError
from kolossos.files import write_whole
from kolossos.launch.job import PORT, REFUSED

SICK = 0.7
MEASURE_S = 0.5
TOGETHER_S = 120.0
LINK_BYTES = 32 << 20
UNITS = {"products": "GFLOP/s", "memory": "GB/s", "link": "GB/s"}


@dataclass(frozen=True)
class Figures:
    """What a node reaches: products in GFLOP/s of its slowest device, memory and link in GB/s (None: not measured)."""

    host: str
    products: float
    memory: float
    link: float | None = None


def chosen(figures: dict[str, Figures], hosts: list[str], nodes: int) -> tuple[list[str], list[str]]:
    """The first ``nodes`` healthy ones of ``hosts``, and a line for each that is not well.

    Raises:
        InputError: fewer than ``nodes`` are healthy.
    """
    sick = [f"{host} has left no figures: it did not start, or hangs" for host in hosts if host not in figures]
    well = [host for host in hosts if host in figures]
    for name, unit in UNITS.items():
        values = {host: getattr(figures[host], name) for host in well if getattr(figures[host], name) is not None}
        usual = median(values.values()) if values else 0.0
        for host, value in values.items():
            if value < SICK * usual:
                sick.append(f"{host} is sick: {name} {value:,.1f} {unit}, the median is {usual:,.1f}")
                well.remove(host)
    if len(well) < nodes:
        raise InputError("; ".join([f"{len(well)} of {len(hosts)} nodes are well, the job needs {nodes}", *sick]))
    return well[:nodes], sick


def measure(index: int, nodes: int, meet: str) -> Figures:
    """This node's figures; with several nodes all of them must call it."""
    import torch

    devices = [torch.device("cuda", n) for n in range(torch.cuda.device_count())] or [torch.device("cpu")]
    products, memory = min(_products(d) for d in devices), min(_memory(d) for d in devices)
    link = None
    if nodes > 1:
        try:
            link = _link(index, nodes, meet, devices[0])
        except RuntimeError as error:  # one of them did not come: the others' products still count
            print(f"{socket.gethostname()}: links not measured: {error}", file=sys.stderr)
    host = os.environ.get("SLURMD_NODENAME") or socket.gethostname().split(".")[0]
    return Figures(host, products / 1e9, memory / 1e9, link and link / 1e9)


def _products(device: "object") -> float:
    import torch

    cuda = device.type == "cuda"  # type: ignore[attr-defined]
    size, dtype = (8192, torch.bfloat16) if cuda else (1024, torch.float32)
    x = torch.randn(size, size, device=device, dtype=dtype)  # type: ignore[call-overload]
    return 2 * size**3 / _best(lambda: x @ x, cuda)


def _memory(device: "object") -> float:
    import torch

    cuda = device.type == "cuda"  # type: ignore[attr-defined]
    source = torch.ones((1 << 30) if cuda else (64 << 20), device=device, dtype=torch.uint8)  # type: ignore[call-overload]
    target = torch.empty_like(source)
    return 2 * source.nbytes / _best(lambda: target.copy_(source), cuda)


def _best(work: Callable[[], object], cuda: bool) -> float:
    """Seconds of the fastest of several; other programs only make them longer."""
    import torch

    best, deadline = float("inf"), time.perf_counter() + MEASURE_S
    while time.perf_counter() < deadline:
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def _link(index: int, nodes: int, meet: str, device: "object") -> float:
    """Bytes a second, each way, of the better one of the exchanges with the node before and the node behind."""
    import torch
    import torch.distributed as dist

    cuda = device.type == "cuda"  # type: ignore[attr-defined]
    timeout = timedelta(seconds=TOGETHER_S)
    dist.init_process_group("nccl" if cuda else "gloo", f"tcp://{meet}", timeout, nodes, index)
    mine = torch.ones(LINK_BYTES, dtype=torch.uint8, device=device)  # type: ignore[call-overload]
    theirs, rates = torch.empty_like(mine), [0.0]
    for first in (0, 1):
        even = (index - first) % 2 == 0
        other = index + 1 if even else index - 1
        for _ in range(3):
            dist.barrier()
            if not 0 <= other < nodes:
                continue
            start = time.perf_counter()
            both = [dist.P2POp(dist.isend, mine, other), dist.P2POp(dist.irecv, theirs, other)]
            for transfer in dist.batch_isend_irecv(both):
                transfer.wait()
            if cuda:
                torch.cuda.synchronize()
            rates.append(LINK_BYTES / (time.perf_counter() - start))
    dist.destroy_process_group()
    return max(rates)


def read_figures(folder: Path) -> dict[str, Figures]:
    """By host, of all files that nodes left in ``folder``."""
    found = [Figures(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
    return {figures.host: figures for figures in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "choose"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--index", default="0", help="of this node; $NAME takes it from the environment")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--meet", default=f"127.0.0.1:{PORT + 1}")
    parser.add_argument("--of", default="", help="all hosts, comma-separated")
    given = parser.parse_args()
    if given.what == "measure":
        index = os.environ[given.index[1:]] if given.index.startswith("$") else given.index
        figures = measure(int(index), given.nodes, given.meet)
        given.folder.mkdir(parents=True, exist_ok=True)
        write_whole(given.folder / f"{figures.host}.json", json.dumps(asdict(figures)))
        return
    try:
        well, sick = chosen(read_figures(given.folder), given.of.split(","), given.nodes)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    for line in sick:
        print(line, file=sys.stderr)
    print(",".join(well))


if __name__ == "__main__":
    main()

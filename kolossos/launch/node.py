"""One node of a job: torch's elastic agent starts its ranks and watches them; signals are for the ranks.

    python -m kolossos.launch.node --nodes 2 --per-node 4 --index 0 --meet host:29400 --job 17 -- train RUN.toml ...

Ends with the code of the run: 0 finished, 2 refused, 75 stopped and saved, 128 + signal or 1 after a crash. As
torchrun does, whose agent this is; but torchrun ends with 1 however its ranks ended, and a signal ends them by force.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from kolossos.launch.job import PORT, REFUSED, STOPPED

FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
ENDED_BY_FORCE_S = 30
CRASH = 1


@dataclass(frozen=True)
class Node:
    """This node among those of a job. meet: host:port at the node of index 0; job: the same name on all of them."""

    per_node: int
    nodes: int = 1
    index: int = 0
    meet: str = "127.0.0.1:0"
    job: str = "local"


def run_node(node: Node, command: list[str], restarts: int, say: Callable[[str], None]) -> int:
    """Run ``kolossos`` with ``command`` on all ranks of this node; the exit code of the whole.

    After a crash it begins again (the run goes on from its last checkpoint) up to ``restarts`` times, if this is the
    only node: with several, whoever started them starts all of them again.
    """
    code = CRASH
    for attempt in range(restarts + 1 if node.nodes == 1 else 1):
        if attempt:
            say(f"the ranks ended with exit code {code}: starting again ({attempt} of {restarts})")
        code = _once(node, f"{node.job}-{attempt}", command)
        if not crashed(code):
            break
    return code


def crashed(code: int) -> bool:
    """Whether beginning again may help: the run has not finished, was not refused, and nobody asked it to stop."""
    asked = {128 + getattr(signal, name) for name in FORWARDED if hasattr(signal, name)}
    return code not in {0, REFUSED, STOPPED} | asked


def _once(node: Node, job: str, command: list[str]) -> int:
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=node.nodes,
        max_nodes=node.nodes,
        nproc_per_node=node.per_node,
        run_id=job,
        rdzv_backend="c10d",
        rdzv_endpoint=node.meet,
        rdzv_configs={"is_host": node.index == 0},
        max_restarts=0,
        signals_to_handle="SIGQUIT",
        shutdown_timeout=ENDED_BY_FORCE_S,
        logs_specs=DefaultLogsSpecs(),
    )
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else the agent sets it and says so; a run chooses its own threads
    with tempfile.TemporaryDirectory(prefix="kolossos-") as notes, signals_to_ranks():
        ranks = elastic_launch(config, sys.executable)
        try:
            ranks("-m", "kolossos.launch.rank", notes, *command)
        except ChildFailedError as error:
            return code_of(failure.exitcode for failure in error.failures.values())
        return STOPPED if (Path(notes) / "stopped").exists() else 0


def code_of(codes: Iterable[int]) -> int:
    """One exit code of those of the ranks that failed, negative if by a signal.

    A rank that dies takes the others with it: they lose their group and end by themselves, or are ended (SIGTERM) by
    the agent. So what killed a rank comes first, then an error nobody foresaw, then what a run said that it refuses.
    """
    ended = list(codes)
    killed = [-code for code in ended if code < 0 and code != -signal.SIGTERM]
    if killed:
        return 128 + killed[0]
    unforeseen = [code for code in ended if code > 0 and code != REFUSED]
    if unforeseen:
        return unforeseen[0]
    return REFUSED if REFUSED in ended else 128 + signal.SIGTERM


@contextmanager
def signals_to_ranks() -> Iterator[None]:
    """Inside the block a signal that asks to end goes to all ranks of this process, which end after their step."""

    def forward(number: int, _: FrameType | None) -> None:
        ranks = child_processes()
        for rank in ranks:
            with suppress(ProcessLookupError):
                os.kill(rank, number)
        if not ranks:
            raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in FORWARDED if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def child_processes() -> list[int]:
    """The numbers of the processes that this one started (Linux)."""
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(child) for text in lists for child in text.read_text().split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--per-node", type=int, default=1)
    parser.add_argument("--index", default="0", help="of this node; $NAME takes it from the environment")
    parser.add_argument("--meet", default=f"127.0.0.1:{PORT}")
    parser.add_argument("--job", default="job")
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("command", nargs="+", help="train RUN.toml ...")
    given = parser.parse_args()
    index = os.environ[given.index[1:]] if given.index.startswith("$") else given.index
    node = Node(given.per_node, given.nodes, int(index), given.meet, given.job)
    sys.exit(run_node(node, given.command, given.restarts, lambda line: print(line, file=sys.stderr, flush=True)))


if __name__ == "__main__":
    main()

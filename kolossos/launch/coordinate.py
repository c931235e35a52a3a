"""The coordinator of a run whose replicas have nodes of their own: starts and ends nothing itself, agents do.

    python -m kolossos.launch.coordinate RUN_FOLDER --address host:29400 --replicas 4 --ranks 16 --nodes 2

nodes, ranks: of each replica. Ends with the exit code of the run, as `kolossos launch --on local` does.
SIGTERM, SIGINT, SIGHUP and SIGUSR1 are passed on to all ranks, which end together after their step, saved.
"""

import argparse
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from kolossos.errors import InputError
from kolossos.launch.job import REFUSED
from kolossos.runs.lock import only_one

STAYS_S = 10.0
"""For agents to hear that the run is over: the store ends with this process."""


def coordinate(
    folder: Path,
    address: str,
    replicas: int,
    ranks: int,
    nodes: int,
    *,
    silent_s: float = 10.0,
    stuck_s: float = 0.0,
    restarts: int = 3,
    plain: bool = False,
) -> int:
    """Until the run ends; its exit code. ``plain``: all ranks are one job, and one of them holds the run's folder.

    Raises:
        InputError: another process trains in ``folder``, or ``address`` cannot be listened at.
    """
    from kolossos.launch.remote import RemoteReplica
    from kolossos.launch.supervise import Log, Replicas

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"address {address!r}: expected HOST:PORT, as the nodes reach this one")
    with nullcontext() if plain else only_one(folder):
        try:
            run = Replicas(
                [],
                replicas,
                ranks,
                silent_s=silent_s,
                stuck_s=stuck_s,
                restarts=restarts,
                log=Log(folder, replicas, _say),
                host=host,
                port=int(port),
                made=lambda number, store: RemoteReplica(number, store=store, nodes=nodes, lease_s=silent_s),
            )
        except RuntimeError as error:
            raise InputError(f"{address} cannot be listened at ({str(error).splitlines()[0]})") from None
        code = run.run()
        remote = [replica for replica in run.all if isinstance(replica, RemoteReplica)]
        for replica in remote:
            replica.leave(code)
        deadline = time.monotonic() + STAYS_S
        while time.monotonic() < deadline and not all([replica.has_left() for replica in remote]):
            time.sleep(0.05)
        return code


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", required=True)
    parser.add_argument("--replicas", type=int, required=True)
    parser.add_argument("--ranks", type=int, required=True)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--silent", type=float, default=10.0)
    parser.add_argument("--stuck", type=float, default=0.0)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="replicas do not come and go: all ranks are one job")
    given = parser.parse_args()
    try:
        code = coordinate(
            given.folder,
            given.address,
            given.replicas,
            given.ranks,
            given.nodes,
            silent_s=given.silent,
            stuck_s=given.stuck,
            restarts=given.restarts,
            plain=given.plain,
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = REFUSED
    sys.exit(code)


if __name__ == "__main__":
    main()

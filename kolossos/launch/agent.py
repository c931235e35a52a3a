"""One node of a replica that comes and goes: starts its ranks, and ends them, as the coordinator wants.

    python -m kolossos.launch.agent --coordinator host:29400 --replica 2 --replicas 4 --nodes 1 --per-node 8 \\
        --index 0 --address thishost -- train RUN.toml ...

It is started once a node, and again if it ends (by Slurm's or Kubernetes' means). All that it knows of the run is what
the coordinator's store says (remote.py). If it does not reach that for ``--lease`` seconds it ends its ranks: the
others may be going on without them. It ends with the exit code of the run. SIGTERM and the like it leaves to the
coordinator, which passes them on to all ranks, so that they end together, saved.
"""

import argparse
import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kolossos.launch.node import FORWARDED
from kolossos.launch.replicas import FORKED, LOADED_ONCE, Replica, free_port, prepare_environment, run_rank
from kolossos.parallel.launched import CUT_OFF

POLL_S = 0.02
BEAT_EVERY = 10
AGAIN_S = 0.5
UNREACHED_S = 120.0
CRASH = 1


@dataclass(frozen=True)
class Place:
    """Node ``index`` of ``nodes`` of ``replica``, with ``per_node`` ranks; ``address``: where the others reach it.

    plain: the ranks are all of a run whose replicas do not come and go.
    """

    coordinator: str
    replica: int
    replicas: int
    nodes: int
    per_node: int
    index: int
    address: str
    lease_s: float
    plain: bool = False


class Link(threading.Thread):
    """Speaks with the coordinator's store: a call of it may wait for a network that is gone, and ranks must not."""

    def __init__(self, place: Place):
        super().__init__(name="link", daemon=True)
        self.place = place
        self.wanted: dict[str, Any] = {}
        self.reached_s = time.monotonic()  # before the newest exchange that came back
        self.has_left = False
        self._says: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def say(self, key: str, value: str) -> None:
        """Set a key, as soon as the store is reached."""
        with self._lock:
            self._says.append((key, value))

    def run(self) -> None:
        while not self.has_left:
            with suppress(Exception):  # whatever it is, the way back is another connection
                self._speak()
            time.sleep(AGAIN_S)

    def _speak(self) -> None:
        from torch.distributed import TCPStore

        place, count = self.place, 0
        host, _, port = place.coordinator.rpartition(":")
        socket.create_connection((host, int(port)), timeout=AGAIN_S).close()
        store = TCPStore(host, int(port), is_master=False, wait_for_workers=False, timeout=timedelta(seconds=20))
        wants, lives = f"agents/{place.replica}", f"agent/{place.replica}/{place.index}"
        while not self.has_left:
            began_s = time.monotonic()
            if count % BEAT_EVERY == 0:
                store.set(lives, f"{os.getpid()}/{time.time()}")
            if store.check([wants]):
                self.wanted = json.loads(store.get(wants))
            while self._says:
                store.set(*self._says[0])
                with self._lock:
                    self._says.pop(0)
            if "over" in self.wanted:
                store.set(lives, "left")
                self.has_left = True
            self.reached_s, count = began_s, count + 1
            time.sleep(POLL_S)


class Agent:
    """Does what the link says is wanted."""

    def __init__(self, place: Place, command: list[str]):
        self.place, self.command = place, command
        self.link = Link(place)
        self.local = Replica(place.replica)
        self._told: int | None = -1  # the life whose end was said
        self._signals = 0
        self._ready: Any = None  # the store, while the other nodes of a life are waited for

    def run(self) -> int:
        prepare_environment()
        FORKED.set_forkserver_preload(LOADED_ONCE)
        self.link.start()
        try:
            while not self.link.has_left:
                silent_s = time.monotonic() - self.link.reached_s
                if silent_s > self.place.lease_s and not self.local.ended:
                    self._say(f"the coordinator is not reached for {silent_s:.1f} s: the ranks here end")
                    self.local.end()
                if silent_s > max(UNREACHED_S, self.place.lease_s):
                    return CRASH
                if self.link.wanted:
                    self._look(self.link.wanted)
                time.sleep(POLL_S)
            return int(self.link.wanted["over"])
        finally:
            self.local.end()

    def _look(self, wanted: dict[str, Any]) -> None:
        place, local, life = self.place, self.local, int(wanted["life"])
        if int(wanted["end"]) >= local.life:
            local.end()
            self._ready = None
        for number in wanted["signals"][self._signals :]:
            local.signal(number)
        self._signals = len(wanted["signals"])
        if local.life >= 0 and local.processes:
            if (code := local.failure()) is not None and self._told != local.life:
                self.link.say(f"failed/{place.replica}/{local.life}", str(code))
                self._told = local.life
            if local.ended:
                self._say_ended(local.life, [process.exitcode or 0 for process in local.processes])
                local.processes = []
        if int(wanted["end"]) > local.life:  # of a life that an earlier agent here had
            self._say_ended(int(wanted["end"]), [])
            local.life = int(wanted["end"])
        if life > max(local.life, int(wanted["end"])) and not local.processes:
            self._get_ready(life)
        elif self._ready is not None and self._ready.add(f"ready/{place.replica}/{life}", 0) >= place.nodes:
            self._start(life)

    def _say_ended(self, life: int, codes: list[int]) -> None:
        self.link.say(f"ended/{self.place.replica}/{life}/{self.place.index}", json.dumps(codes))

    def _get_ready(self, life: int) -> None:
        """Say that this node is here for this life; one that was begun by an agent that is gone is lost."""
        place, store = self.place, self._store()
        self.local.life = life
        if store.add(f"began/{place.replica}/{life}/{place.index}", 1) > 1:
            self.link.say(f"failed/{place.replica}/{life}", str(-signal.SIGKILL))
            self._say_ended(life, [])
            return
        if place.index == 0:
            store.set(f"meet/{place.replica}/{life}", f"{place.address}:{free_port()}")
        store.add(f"ready/{place.replica}/{life}", 1)
        self._ready = store

    def _start(self, life: int) -> None:
        """The ranks of this life that belong here, for all of its nodes are there."""
        place, store, self._ready = self.place, self._ready, None
        address, _, port = store.get(f"meet/{place.replica}/{life}").decode().rpartition(":")
        environment = {
            "KOLOSSOS_COORDINATOR": "" if place.plain else place.coordinator,
            "KOLOSSOS_REPLICA": str(place.replica),
            "KOLOSSOS_REPLICAS": str(place.replicas),
            "KOLOSSOS_LIFE": str(life),
            "WORLD_SIZE": str(place.nodes * place.per_node),
            "MASTER_ADDR": address if place.nodes > 1 else "127.0.0.1",
            "MASTER_PORT": port,
        }
        ranks = {place.index * place.per_node + local: local for local in range(place.per_node)}
        self.local.begin(environment, ranks, self.command, run_rank_of_agent)

    def _store(self) -> Any:
        from torch.distributed import TCPStore

        host, _, port = self.place.coordinator.rpartition(":")
        return TCPStore(host, int(port), is_master=False, wait_for_workers=False, timeout=timedelta(seconds=20))

    def _say(self, line: str) -> None:
        print(f"replica {self.place.replica} on {self.place.address}: {line}", file=sys.stderr, flush=True)


def run_rank_of_agent(environment: dict[str, str], command: list[str]) -> None:
    """`run_rank`, that ends when its agent does: nobody else could end it for the coordinator."""
    threading.Thread(target=_end_with_agent, name="agent", daemon=True).start()
    run_rank(environment, command)


def _end_with_agent() -> None:
    agent = multiprocessing.parent_process()
    assert agent is not None
    agent.join()
    os._exit(CUT_OFF)


def of_environment(value: str) -> str:
    """``$NAME`` is what that variable holds; anything else is as it is."""
    return os.environ[value[1:]] if value.startswith("$") else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coordinator", required=True)
    parser.add_argument("--replica", required=True, help="$NAME: from the environment, as in --index, --address")
    parser.add_argument("--replicas", type=int, required=True)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--per-node", type=int, default=1)
    parser.add_argument("--index", default="0")
    parser.add_argument("--address", default=socket.gethostname())
    parser.add_argument("--lease", type=float, default=10.0)
    parser.add_argument("--plain", action="store_true", help="replicas do not come and go: all ranks are one job")
    parser.add_argument("command", nargs="+", help="train RUN.toml ...")
    given = parser.parse_args()
    numbers = given.replicas, given.nodes, given.per_node, int(of_environment(given.index))
    replica, address = int(of_environment(given.replica)), of_environment(given.address)
    agent = Agent(Place(given.coordinator, replica, *numbers, address, given.lease, given.plain), given.command)
    for name in FORWARDED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.exit(agent.run())


if __name__ == "__main__":
    main()

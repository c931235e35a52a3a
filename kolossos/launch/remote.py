"""A replica on nodes of its own, as the coordinator sees it: what it wants is said in its store, agents do it.

Two kinds of keys. ``agents/2`` is written here: which life of replica 2 is to run, up to which all must have ended,
which signals are passed on, whether the run is over. ``agent/2/0`` (that of node 0 of it lives), ``failed/2/5`` and
``ended/2/5/0`` (the exit codes of life 5 there) are written by the agents (agent.py).

An agent that does not reach the store for ``lease_s`` ends its ranks by itself; here one that was not heard for longer
counts as having done so. So nothing of a life that was counted as lost writes while the others go on.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch.distributed import Store

from kolossos.launch.job import STOPPED
from kolossos.launch.replicas import Replica
from kolossos.parallel.launched import ABSENT

COMES_WITHIN_S = 120.0
POLL_S = 0.01
MORE_THAN_LEASE = 1.25
"""An agent's clock may be slower than this one's, and it notices some time after."""


@dataclass
class RemoteReplica(Replica):
    """``nodes`` agents start and end the processes of it."""

    store: Store | None = None
    nodes: int = 1
    lease_s: float = 10.0
    _end: int = field(init=False, default=-1)
    _signals: list[int] = field(init=False, default_factory=list)
    _heard: dict[int, tuple[str, float]] = field(init=False, default_factory=dict)
    _came: set[int] = field(init=False, default_factory=set)  # nodes that were heard in this life

    def start(
        self, coordinator: str, replicas: int, ranks: int, command: Sequence[str], target: Callable[..., None]
    ) -> None:
        self.life += 1
        self._begin_life()
        self._came = set()
        self._say()

    @property
    def codes(self) -> list[int | None]:
        """Of the ranks of this life; one None for each node that has not ended all of its own."""
        found: list[int | None] = []
        for node in range(self.nodes):
            key = f"ended/{self.number}/{self.life}/{node}"
            found += json.loads(self._keys.get(key)) if self._keys.check([key]) else [None]
        return found

    @property
    def ended(self) -> bool:
        return None not in self.codes

    def failure(self) -> int | None:
        failed = f"failed/{self.number}/{self.life}"
        if self._keys.check([failed]):
            return int(self._keys.get(failed))
        codes = self.codes
        if wrong := [code for code in codes if code not in (None, 0, STOPPED)]:
            return wrong[0]
        absent = any([self._is_absent(node) for node in range(self.nodes)])
        return ABSENT if None in codes and absent else None

    def signal(self, number: int) -> None:
        self._signals.append(number)
        self._say()

    def end(self) -> None:
        self._end = self.life
        self._say()
        for node in range(self.nodes):
            key = f"ended/{self.number}/{self.life}/{node}"
            while self.life >= 0 and not self._keys.check([key]):
                if self._silent_s(node) > MORE_THAN_LEASE * self.lease_s:
                    break
                time.sleep(POLL_S)

    def leave(self, code: int) -> None:
        """The run is over, with this exit code."""
        self._say(over=code)

    def has_left(self) -> bool:
        """Whether all agents have heard that, or are not heard of."""
        said = [self._silent_s(node) > self.lease_s or self._heard[node][0] == "left" for node in range(self.nodes)]
        return all(said)

    @property
    def _keys(self) -> Store:
        assert self.store is not None
        return self.store

    def _say(self, **more: Any) -> None:
        wanted = {"life": self.life, "end": self._end, "signals": self._signals, **more}
        self._keys.set(f"agents/{self.number}", json.dumps(wanted))

    def _silent_s(self, node: int) -> float:
        """How long the agent of ``node`` has said nothing new."""
        key, now = f"agent/{self.number}/{node}", time.monotonic()
        before = self._heard.setdefault(node, ("", now))
        if self._keys.check([key]) and (said := self._keys.get(key).decode()) != before[0]:
            self._heard[node] = said, now
            self._came.add(node)
            return 0.0
        return now - before[1]

    def _is_absent(self, node: int) -> bool:
        silent_s = self._silent_s(node)
        if node in self._came:
            return silent_s > MORE_THAN_LEASE * self.lease_s
        return self.age_s > COMES_WITHIN_S

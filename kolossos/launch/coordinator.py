"""Who takes part: the coordinator's side of the roll (parallel/membership.py has the ranks' side). No model, no data.

It decides membership and nothing else: who has joined, who is lost (its process ended, it has been silent or stuck),
which replica writes. It holds the store through which the members vote, so there is one of it, and no second half.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from torch.distributed import Store, TCPStore

from kolossos.parallel.membership import END

SEEN_EVERY_S = 0.25
BROKEN_IN_A_ROW = 3
WAITING = ("exchange", "validation", "checkpoint", "writing", "set-up")
"""Parts that may last: waiting for others, and what only one replica does."""


@dataclass
class Beat:
    """What a rank last said, and when that was heard here."""

    count: int
    heard_s: float
    part: str = "set-up"
    step: int = 0
    since_s: float = 0.0


@dataclass
class Coordinator:
    """The roll of ``replicas`` with ``ranks`` ranks each.

    silent_s: a rank of a member that has said nothing for so long is lost. stuck_s: so is one that stays in one part
    of a step for so long (0: it may). port: 0: any that is free. tell: hears of every epoch: its number, why it begins,
    members and writer.
    """

    replicas: int
    ranks: int
    silent_s: float = 10.0
    stuck_s: float = 0.0
    host: str = "127.0.0.1"
    port: int = 0
    tell: Callable[[dict[str, Any]], None] = lambda _: None
    epoch: int = field(init=False, default=-1)
    members: dict[int, int] = field(init=False, default_factory=dict)  # replica -> life, of the newest epoch
    writer: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._store = TCPStore(
            self.host, self.port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=20)
        )
        self._waiting: dict[int, int] = {}  # replica -> life of those that are started and have not joined
        self._open: list[int] = []  # epochs that may have ranks in them
        self._beats: dict[tuple[int, int], Beat] = {}
        self._seen_s = 0.0
        self._broken = 0
        self._kept_at: int | str = -1
        self.kept: tuple[int | str, int, float] = (-1, -1, 0.0)  # the newest step, its epoch, when (Unix)

    @property
    def store(self) -> Store:
        """The one that all of them share."""
        return self._store

    @property
    def address(self) -> str:
        return f"{self.host}:{self._store.port}"

    def started(self, replica: int, life: int) -> None:
        """A new life of ``replica`` begins: it will join when it is ready."""
        self._waiting[replica] = life

    def lost(self, replica: int, why: str) -> None:
        """``replica`` takes part no more. The others go on without it."""
        self._waiting.pop(replica, None)
        if self.members.pop(replica, None) is None:
            return
        self._forget(replica)
        if self.members:
            self._begin_epoch(why, at_once=True)
        else:
            self._end_all(why)

    def tick(self) -> list[tuple[int, str]]:
        """Look around; the members that must be ended and counted as lost, with the reason."""
        joined = {r: life for r, life in self._waiting.items() if self._store.add(f"join/{r}/{life}", 0) >= self.ranks}
        all_here = len(joined) == len(self._waiting)
        if joined and (self.members or all_here):
            for replica in joined:
                del self._waiting[replica]
            survivors = bool(self.members)
            self.members |= joined
            self._begin_epoch(f"{_named(joined)} joined", at_once=not survivors)
        if self._store.check(["kept"]):
            step, epoch, unix_s = json.loads(self._store.get("kept"))
            self.kept = step, epoch, unix_s
        now = time.monotonic()
        if now - self._seen_s < SEEN_EVERY_S or self.is_over:
            return []
        self._seen_s = now
        self._look_for_broken()
        return self._silent_or_stuck(now)

    @property
    def is_over(self) -> bool:
        """Whether all have come to the end of the run together."""
        return self.kept[0] == END

    def close(self, why: str) -> None:
        """Nobody goes on."""
        self._end_all(why)

    def _begin_epoch(self, why: str, *, at_once: bool) -> None:
        """A new epoch of the present members; ``at_once``: the step under way is given up, else it is finished."""
        self.epoch += 1
        if self.writer not in self.members or not self._open:
            self.writer = min(self.members)
        told = {"lives": self.members, "writer": self.writer, "why": why}
        self._store.set(f"quorum/{self.epoch}", json.dumps(told))
        self._store.set("epoch", str(self.epoch))
        for before in self._open:
            self._store.set(f"over/{before}" if at_once else f"pending/{before}", why)
        self._open = [self.epoch] if at_once else [*self._open, self.epoch]
        self.tell({"epoch": self.epoch, "why": why, "members": sorted(self.members), "writer": self.writer})

    def _end_all(self, why: str) -> None:
        for before in self._open:
            self._store.set(f"over/{before}", why)
        self._open = []

    def _look_for_broken(self) -> None:
        """An epoch whose exchanges fail though nobody is lost begins anew; who is behind it comes out by silence."""
        broken = [epoch for epoch in self._open if self._store.check([f"broken/{epoch}"])]
        if broken:
            why = self._store.get(f"broken/{broken[-1]}").decode()
            self._broken = self._broken + 1 if self.kept[0] == self._kept_at else 1
            self._kept_at = self.kept[0]
            if self._broken > BROKEN_IN_A_ROW and len(self.members) > 1:
                worst = int(why.split()[1])  # again and again: the one that complains goes
                worst = worst if worst != self.writer else max(self.members)
                self.lost(worst, f"replica {worst} cannot exchange ({why})")
            elif self.members:
                self._begin_epoch(f"an exchange failed: {why}", at_once=True)

    def _silent_or_stuck(self, now: float) -> list[tuple[int, str]]:
        lost = []
        for replica, life in self.members.items():
            for rank in range(self.ranks):
                beat = self._heard(replica, life, rank, now)
                if now - beat.heard_s > self.silent_s:
                    why = f"rank {rank} silent for {now - beat.heard_s:.1f} s (step {beat.step}, {beat.part})"
                elif self.stuck_s and beat.part not in WAITING and beat.since_s > self.stuck_s:
                    why = f"rank {rank} stuck in {beat.part} of step {beat.step} for {beat.since_s:.1f} s"
                else:
                    continue
                lost.append((replica, f"replica {replica}: {why}"))
                break
        return lost

    def _heard(self, replica: int, life: int, rank: int, now: float) -> Beat:
        """The last beat of a rank; of one that has said nothing yet, since when that is so."""
        key = f"beat/{replica}/{life}/{rank}"
        before = self._beats.setdefault((replica, rank), Beat(0, now))
        if not self._store.check([key]):
            return before
        count, part, step, since_s = json.loads(self._store.get(key))
        if before.count != count:
            before = self._beats[replica, rank] = Beat(count, now, part, step, since_s)
        return before

    def _forget(self, replica: int) -> None:
        self._beats = {key: beat for key, beat in self._beats.items() if key[0] != replica}


def _named(replicas: dict[int, int]) -> str:
    numbers = ", ".join(map(str, sorted(replicas)))
    return f"replica{'s' if len(replicas) > 1 else ''} {numbers}"

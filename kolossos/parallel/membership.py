"""Who takes part in a step, by one mind: a rank's side of the roll that the coordinator keeps (launch/coordinator.py).

All of it is keys in one store of torch (TCPStore), which the coordinator holds; whoever does not reach it decides
nothing and ends, so that two halves of a cut network never both go on.

Epoch: a set of replicas, the same until somebody leaves or comes. A step is kept when every rank of every member has
voted for it: then one key, written once by compare-and-set, says so, or that the epoch ended before. So either all
members update their weights or none does.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore

from kolossos.errors import InputError
from kolossos.parallel.launched import CUT_OFF, Seat

CONNECT_S, AGAIN_S, REACHED_S = 5.0, 0.5, 600.0
READY, END = "ready", "the end"
"""What is voted for beside steps: that an epoch can begin, and that the run is over."""

BEAT_S = 0.1
POLL_S = 0.001
RESOLVED_S = 5.0  # how long an exchange that failed waits for the coordinator to say why, before it complains


@dataclass(frozen=True)
class Quorum:
    """The members of an epoch, ascending; ``writer`` is the replica that writes the run's files."""

    epoch: int
    members: tuple[int, ...]
    writer: int
    lives: dict[int, int]


class Membership:
    """The roll as one rank sees it. ``where`` is asked for the part of a step that the rank is in, and since when."""

    def __init__(self, seat: Seat, where: Callable[[], tuple[str, int, float]]):
        self.seat = seat
        self._store = _connect(seat)
        self._where = where
        self.quorum: Quorum | None = None
        self.stopping = False
        self.regroup_due = False
        self._over_up_to = -1
        self._closed = threading.Event()
        self._beats = threading.Thread(target=self._beat, args=(_connect(seat),), name="membership", daemon=True)

    def join(self) -> None:
        """Say that this rank is ready to take part."""
        self._beats.start()
        self._store.add(f"join/{self.seat.replica}/{self.seat.life}", 1)

    @property
    def over(self) -> bool:
        """Whether the epoch has ended without us."""
        return self.quorum is not None and self._over_up_to >= self.quorum.epoch

    @property
    def is_writer(self) -> bool:
        return self.quorum is not None and self.quorum.writer == self.seat.replica

    def next_quorum(self, have: dict[str, int]) -> tuple[Quorum, dict[int, dict[str, int]]]:
        """Wait until a new epoch has all its ranks; its members, and what each of them has.

        ``have``: numbers about this replica that the others need, such as the steps that it has done.
        """
        seat, before = self.seat, self.quorum.epoch if self.quorum else -1
        while True:
            quorum = self._latest(before)
            before = quorum.epoch
            self.quorum = quorum
            self.regroup_due = False
            if seat.rank == 0:
                self._store.set(f"have/{quorum.epoch}/{seat.replica}", json.dumps(have))
            if self._all_came(quorum):
                everyone = {
                    member: json.loads(self._store.get(f"have/{quorum.epoch}/{member}")) for member in quorum.members
                }
                return quorum, everyone

    def store_of_epoch(self) -> Store:
        """Where the ranks of the same place in all members find each other."""
        assert self.quorum is not None
        return PrefixStore(f"group/{self.quorum.epoch}/{self.seat.rank}", self._store)

    def vote(self, on: int | str, wish_to_stop: bool) -> bool:
        """For a step, or another thing with a name; whether all have. False: the epoch ended before."""
        epoch, store = self._epoch, self._store
        if wish_to_stop:
            store.set(f"wish/{epoch}", "stop")
        end = f"end/{epoch}/{on}"
        if store.add(f"votes/{epoch}/{on}", 1) == self._ranks:
            words = ["kept"]
            words += ["regroup"] if store.check([f"pending/{epoch}"]) else []
            words += ["stop"] if store.check([f"wish/{epoch}"]) else []
            if store.compare_set(end, "", " ".join(words)).startswith(b"kept"):
                store.set("kept", json.dumps([on, epoch, time.time()]))
            if isinstance(on, int):  # all have read how the one before ended, or they could not have voted
                store.delete_key(f"votes/{epoch}/{on - 1}")
                store.delete_key(f"end/{epoch}/{on - 1}")
        while not store.check([end]):
            if self.over:
                store.compare_set(end, "", "given-up")
            time.sleep(POLL_S)
        words = store.get(end).decode().split()
        self.regroup_due |= "regroup" in words
        self.stopping |= "stop" in words
        return "kept" in words

    def words_of_all(self, name: str, word: str) -> dict[int, str] | None:
        """By member what the rank of this place says under ``name``; None if the epoch ends before all have said it."""
        epoch, store, quorum = self._epoch, self._store, self.quorum
        assert quorum is not None
        keys = {member: f"word/{epoch}/{name}/{self.seat.rank}/{member}" for member in quorum.members}
        store.set(keys[self.seat.replica], word)
        while not store.check(list(keys.values())):
            if self.over:
                return None
            time.sleep(POLL_S)
        return {member: store.get(key).decode() for member, key in keys.items()}

    def complain(self, why: str) -> None:
        """An exchange failed: wait for the coordinator to end the epoch; tell it if it knows of nothing."""
        deadline = time.monotonic() + RESOLVED_S
        while not self.over and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if not self.over:
            self._store.set(f"broken/{self._epoch}", f"replica {self.seat.replica} rank {self.seat.rank}: {why[:200]}")
            while not self.over:
                time.sleep(POLL_S)

    def close(self) -> None:
        self._closed.set()

    @property
    def _epoch(self) -> int:
        assert self.quorum is not None
        return self.quorum.epoch

    @property
    def _ranks(self) -> int:
        assert self.quorum is not None
        return len(self.quorum.members) * self.seat.ranks

    def _latest(self, before: int) -> Quorum:
        """The newest epoch after ``before`` that this replica is a member of."""
        seat = self.seat
        while True:
            if self._store.check(["epoch"]) and (epoch := int(self._store.get("epoch"))) > before:
                told = json.loads(self._store.get(f"quorum/{epoch}"))
                lives = {int(member): life for member, life in told["lives"].items()}
                if lives.get(seat.replica) == seat.life:
                    return Quorum(epoch, tuple(sorted(lives)), told["writer"], lives)
                if self.quorum is not None:  # the others go on without this life
                    _cut_off(seat)
                before = epoch
            time.sleep(POLL_S)

    def _all_came(self, quorum: Quorum) -> bool:
        """Whether all ranks of ``quorum`` are here before it is over; the same for all, by one key."""
        epoch, store = quorum.epoch, self._store
        go = f"go/{epoch}"
        if store.add(f"came/{epoch}", 1) == self._ranks:
            store.compare_set(go, "", "yes")
        while not store.check([go]):
            if self.over or store.check([f"pending/{epoch}"]):
                store.compare_set(go, "", "no")
            time.sleep(POLL_S)
        return store.get(go) == b"yes"

    def _beat(self, store: Store) -> None:
        """Say again and again that this rank is alive and where, and hear whether the epoch is over."""
        seat, count = self.seat, 0
        key = f"beat/{seat.replica}/{seat.life}/{seat.rank}"
        try:
            while not self._closed.wait(BEAT_S / 5):
                count += 1
                quorum = self.quorum
                if quorum is not None and not self.over and store.check([f"over/{quorum.epoch}"]):
                    self._over_up_to = quorum.epoch
                if count % 5 == 0:
                    part, step, seconds = self._where()
                    store.set(key, json.dumps([count, part, step, seconds]))
        except Exception:
            if not self._closed.is_set():
                _cut_off(seat)


def speaks(seat: Seat) -> bool:
    """Whether this rank is the first to say why the run ended."""
    return _connect(seat).add("said", 1) == 1


def _cut_off(seat: Seat) -> None:
    """The coordinator is not to be reached: end, for the others may go on without this replica."""
    if seat.rank == 0:
        with suppress(OSError):
            print(
                f"error: replica {seat.replica} no longer reaches the coordinator at {seat.coordinator}: it ends, and "
                f"the others go on where they are",
                file=sys.stderr,
                flush=True,
            )
    os._exit(CUT_OFF)


def _connect(seat: Seat) -> Store:
    """To the coordinator, however long it takes to be reached (ten minutes at most)."""
    host, _, port = seat.coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"KOLOSSOS_COORDINATOR = {seat.coordinator!r}: expected HOST:PORT")
    deadline = time.monotonic() + REACHED_S
    while True:
        try:  # asked by a plain socket first: TCPStore says at length what it could not do
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
            return TCPStore(host, int(port), is_master=False, wait_for_workers=False, timeout=timedelta(seconds=20))
        except (OSError, RuntimeError):
            if time.monotonic() > deadline or os.getppid() == 1:  # or whoever started this rank is gone
                _cut_off(seat)
            time.sleep(AGAIN_S)

"""Membership: a step is kept by all or by none, whoever leaves or comes in between."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from kolossos.launch.coordinator import Coordinator
from kolossos.parallel.launched import Seat
from kolossos.parallel.membership import Membership, Quorum


class Roll:
    """A coordinator that looks around all the time, and members in threads."""

    def __init__(self, replicas: int, ranks: int, **limits: float):
        self.epochs: list[dict[str, Any]] = []
        self.lost: list[str] = []
        self.coordinator = Coordinator(replicas, ranks, tell=self.epochs.append, **limits)
        self.replicas, self.ranks = replicas, ranks
        self.threads = ThreadPoolExecutor(replicas * ranks + 2)
        self.made: list[Membership] = []
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._ticks = threading.Thread(target=self._tick, daemon=True)
        self._ticks.start()

    def _tick(self) -> None:
        while not self._ended.wait(0.005):
            with self._lock:
                for replica, why in self.coordinator.tick():
                    self.lost.append(why)
                    self.coordinator.lost(replica, why)

    def lose(self, replica: int, why: str = "gone") -> None:
        with self._lock:
            self.coordinator.lost(replica, why)

    def start(
        self, replica: int, life: int = 0, where: Callable[[], Any] = lambda: ("data", 1, 0.0)
    ) -> list[Membership]:
        """The ranks of a replica, not joined yet."""
        with self._lock:
            self.coordinator.started(replica, life)
        address = self.coordinator.address
        seats = [Seat(replica, self.replicas, life, rank, self.ranks, address) for rank in range(self.ranks)]
        made = [Membership(seat, where) for seat in seats]
        self.made += made
        return made

    def join(
        self, members: list[Membership], done: int = 0
    ) -> "list[Future[tuple[Quorum, dict[int, dict[str, int]]]]]":
        """Each in its thread joins, and waits for a quorum."""

        def joined(member: Membership) -> tuple[Quorum, dict[int, dict[str, int]]]:
            member.join()
            return member.next_quorum({"done": done})

        return [self.threads.submit(joined, member) for member in members]

    def close(self) -> None:
        for member in self.made:
            member.close()
        self._ended.set()
        self._ticks.join()
        self.coordinator.close("the end")
        self.threads.shutdown(wait=False, cancel_futures=True)


@contextmanager
def roll(replicas: int, ranks: int = 1, **limits: float) -> Iterator[tuple[Roll, list[list[Membership]]]]:
    """All replicas started and joined, in epoch 0."""
    made = Roll(replicas, ranks, **limits)
    try:
        members = [made.start(replica) for replica in range(replicas)]
        waiting = [future for ranks_of in members for future in made.join(ranks_of)]
        assert {future.result(20)[0].epoch for future in waiting} == {0}
        yield made, members
    finally:
        made.close()


def votes(made: Roll, members: list[Membership], on: int | str, wish: bool = False) -> "list[Future[bool]]":
    return [made.threads.submit(member.vote, on, wish) for member in members]


def test_a_step_is_kept_when_every_rank_has_voted() -> None:
    with roll(2, ranks=2) as (made, members):
        everyone = [member for ranks_of in members for member in ranks_of]
        early = votes(made, everyone[:3], 0)
        time.sleep(0.1)
        assert not any(future.done() for future in early)
        assert all(future.result(20) for future in [*early, *votes(made, everyone[3:], 0)])
        assert all(future.result(20) for future in votes(made, everyone, 1))
        assert [member.is_writer for member in everyone] == [True, True, False, False]


def test_a_step_that_one_has_not_voted_for_is_given_up_by_all_when_it_is_lost() -> None:
    with roll(3) as (made, members):
        early = votes(made, [members[0][0], members[1][0]], 5)
        made.lose(2)
        assert [future.result(20) for future in early] == [False, False]
        again = [made.threads.submit(members[r][0].next_quorum, {"done": 5}) for r in (0, 1)]
        assert [future.result(20)[0].members for future in again] == [(0, 1), (0, 1)]
        assert all(future.result(20) for future in votes(made, [members[0][0], members[1][0]], 5))


def test_a_step_that_all_voted_for_is_kept_though_one_is_lost_at_once() -> None:
    with roll(2) as (made, members):
        both = [members[0][0], members[1][0]]
        assert all(future.result(20) for future in votes(made, both, 0))
        made.lose(1)
        quorum, have = members[0][0].next_quorum({"done": 1})
        assert (quorum.members, have) == ((0,), {0: {"done": 1}})


def test_who_comes_back_is_let_in_between_two_steps() -> None:
    with roll(2) as (made, members):
        made.lose(1)
        survivor = members[0][0]
        survivor.next_quorum({"done": 3})
        (back,) = made.start(1, life=1)
        (waiting,) = made.join([back], done=0)
        step = 3
        while not survivor.regroup_due:
            assert votes(made, [survivor], step)[0].result(20)
            step += 1
            assert step < 10_000
        quorum, have = survivor.next_quorum({"done": step})
        assert quorum.members == (0, 1)
        assert have == {0: {"done": step}, 1: {"done": 0}} == waiting.result(20)[1]
        assert quorum.writer == 0


def test_another_writes_when_the_writer_is_lost_and_goes_on_when_it_is_back() -> None:
    with roll(3) as (made, members):
        made.lose(0)
        again = [made.threads.submit(members[r][0].next_quorum, {"done": 0}) for r in (1, 2)]
        assert {future.result(20)[0].writer for future in again} == {1}
        (back,) = made.start(0, life=1)
        (waiting,) = made.join([back])
        pair = [members[1][0], members[2][0]]
        for step in range(10_000):
            assert all(future.result(20) for future in votes(made, pair, step))
            if pair[0].regroup_due:
                break
        again = [made.threads.submit(member.next_quorum, {"done": 1}) for member in pair]
        assert {(future.result(20)[0].members, future.result(20)[0].writer) for future in again} == {((0, 1, 2), 1)}
        assert waiting.result(20)[0].writer == 1


def test_all_stop_after_the_same_step_if_one_wishes_to() -> None:
    with roll(2) as (made, members):
        early = votes(made, [members[0][0]], 0)
        late = votes(made, [members[1][0]], 0, wish=True)
        assert all(future.result(20) for future in [*early, *late])
        assert members[0][0].stopping
        assert members[1][0].stopping


def test_a_rank_that_says_nothing_is_lost() -> None:
    with roll(2, silent_s=0.5) as (made, members):
        members[1][0].close()  # its thread says nothing from now on
        early = votes(made, [members[0][0]], 0)
        assert early[0].result(20) is False
        assert "replica 1: rank 0 silent for" in made.lost[0]


def test_a_rank_that_stays_in_one_part_of_a_step_is_lost_and_one_that_waits_for_it_is_not() -> None:
    made = Roll(2, 1, stuck_s=0.5)
    try:
        (waits,) = made.start(0, where=lambda: ("exchange", 7, 100.0))
        (stuck,) = made.start(1, where=lambda: ("forward and backward", 7, 100.0))
        for future in [*made.join([waits]), *made.join([stuck])]:
            future.result(20)
        assert votes(made, [waits], 0)[0].result(20) is False
        assert made.lost == ["replica 1: rank 0 stuck in forward and backward of step 7 for 100.0 s"]
    finally:
        made.close()


def test_an_epoch_whose_exchanges_fail_begins_anew_with_the_same_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kolossos.parallel.membership.RESOLVED_S", 0.1)
    with roll(2) as (made, members):
        complaint = made.threads.submit(members[0][0].complain, "connection reset")
        assert votes(made, [members[1][0]], 0)[0].result(20) is False
        complaint.result(20)
        again = [made.threads.submit(member.next_quorum, {"done": 0}) for member in (members[0][0], members[1][0])]
        assert [future.result(20)[0].members for future in again] == [(0, 1), (0, 1)]
        assert "connection reset" in made.epochs[-1]["why"]


def test_words_of_all_members_are_heard_by_each() -> None:
    with roll(2) as (made, members):
        said = [made.threads.submit(members[r][0].words_of_all, "bits", f"word {r}") for r in (0, 1)]
        assert [future.result(20) for future in said] == [{0: "word 0", 1: "word 1"}] * 2

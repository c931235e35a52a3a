"""Sums over replicas have the same bits whoever computed what; who is gone is noticed."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
import torch
from torch import Tensor
from torch.distributed import PrefixStore, TCPStore

from kolossos.parallel.replicas import Broken, ReplicaGroup
from kolossos.parallel.units import Unit, units_of

SHARES, PASSES, N = 4, 3, 101


@contextmanager
def groups(size: int, over: Callable[[], bool] = lambda: False) -> Iterator[list[ReplicaGroup]]:
    """As many members in threads of this process: a group knows no other state than its own."""
    patience = timedelta(seconds=20)
    held = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=patience)

    def member(rank: int) -> ReplicaGroup:  # each with a connection of its own: one that waits holds it
        store = TCPStore("127.0.0.1", held.port, is_master=False, wait_for_workers=False, timeout=patience)
        return ReplicaGroup(PrefixStore("here", store), rank, size, over)

    with ThreadPoolExecutor(size) as threads:
        made = list(threads.map(member, range(size)))
        yield made


def vector_of(unit: Unit) -> Tensor:
    generator = torch.Generator().manual_seed(100 * unit[0] + unit[1])
    return torch.randn(N, generator=generator)


def vectors(line: Sequence[Unit], own: int) -> tuple[list[Unit], list[Tensor]]:
    """As a replica sends them: the foreign ones alone, its own added up."""
    foreign = [unit for unit in line if unit[1] != own]
    mine = vector_of((0, own))
    for number in range(1, PASSES):
        mine += vector_of((number, own))
    return [*foreign, (-1, own)], [*map(vector_of, foreign), mine]


def total_of(members: list[int]) -> list[Tensor]:
    units = units_of(members, SHARES, PASSES)
    sent = {member: vectors(units[member], member) for member in members}
    computed = [sent[member][0] for member in members]
    with groups(len(members)) as made, ThreadPoolExecutor(len(members)) as threads:
        return list(threads.map(lambda group: group.total(sent[members[group.rank]][1], computed, SHARES), made))


@pytest.mark.parametrize("members", [[0, 1, 2], [1, 3], [2]])
def test_a_sum_does_not_ask_who_computed_what(members: list[int]) -> None:
    whole = total_of([0, 1, 2, 3])
    fewer = total_of(members)
    assert all(torch.equal(found, whole[0]) for found in [*whole, *fewer])
    exact = sum(vector_of((number, share)).double() for number in range(PASSES) for share in range(SHARES))
    torch.testing.assert_close(whole[0].double(), exact, rtol=0, atol=1e-5)


def test_counts_are_added_up_exactly() -> None:
    with groups(3) as made, ThreadPoolExecutor(3) as threads:
        big = torch.tensor([[2**40 + 1, 3]])
        sums = list(threads.map(lambda group: group.sum_of_counts(big * (group.rank + 1)), made))
    assert all(torch.equal(found, 6 * big) for found in sums)


def test_a_state_is_brought_to_those_who_lack_it_alone() -> None:
    state = {rank: [torch.full((3, 2), float(rank)), torch.tensor(float(rank))] for rank in range(4)}
    with groups(4) as made, ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda group: group.bring(state[group.rank], 1, [0, 3]), made))
    assert [tensors[0][0, 0].item() for tensors in state.values()] == [1, 1, 2, 1]
    assert [tensors[1].item() for tensors in state.values()] == [1, 1, 2, 1]


def test_an_exchange_is_given_up_when_the_membership_changes() -> None:
    over = threading.Event()
    with groups(2, over.is_set) as (first, second):
        threading.Timer(0.2, over.set).start()
        with pytest.raises(Broken, match="membership"):
            first.sum_of_counts(torch.ones(1, dtype=torch.int64))  # the second never comes
        over.clear()
        second.sum_of_counts(torch.ones(1, dtype=torch.int64))  # so that no thread waits at the end


def test_one_that_has_left_exchanges_nothing() -> None:
    with groups(2) as (first, second):
        first.leave()
        with pytest.raises(Broken, match="left"):
            first.sum_of_counts(torch.ones(1, dtype=torch.int64))
        second.leave()

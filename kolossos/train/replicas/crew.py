"""A replica among the others of a run: takes part, votes, goes on without those who are gone, brings in who comes back.

A step is kept by all members or by none (parallel/membership.py). What is given up is at most the step under way, and
it is computed again, by whoever is there then, with the same bits. A replica that comes back is sent weights and
optimizer by one that has them. One replica writes the run's files; if it is lost, another goes on writing.
"""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import astuple
from functools import partial

from torch import Tensor

from kolossos.model.decoder import Decoder
from kolossos.model.held import held_tensor
from kolossos.parallel.launched import DIFFERS, MISCOMPUTED, Seat
from kolossos.parallel.membership import END, READY, Membership, Quorum
from kolossos.parallel.replicas import Broken, ReplicaGroup
from kolossos.parallel.shares import share_of_batch
from kolossos.parallel.units import Unit, units_of
from kolossos.specs.layout import Layout
from kolossos.train.replicas.step import Vectors, Work, put_back, units_sent, vectors_of
from kolossos.train.setup import Training
from kolossos.train.step import MicroBatch, StepResult, update
from kolossos.train.tokens import to_micro_batch
from kolossos.train.watch.replay import Computed, Miscomputed, fingerprint, verified
from kolossos.train.watch.replicas import Differing, digest, odd_ones


class Crew:
    """This rank's replica in ``seat``. ``layout`` is that of the whole run, ``training`` that of one replica.

    on_change: told the steps done whenever the members have changed, with the weights of that step in place.
    on_disagreement: told behind which step members disagreed on a gradient, and who is wrong.
    """

    def __init__(self, seat: Seat, layout: Layout, training: Training):
        self.seat, self.layout, self.training = seat, layout, training
        board = training.board
        self._roll = Membership(seat, lambda: (board.place.part, board.place.step, board.seconds()))
        self._group: ReplicaGroup | None = None
        self._units: dict[int, list[Unit]] = {}
        self.on_change: Callable[[int], None] = lambda _: None
        self.on_disagreement: Callable[[int, Miscomputed], None] = lambda *_: None
        self.bad_in_a_row = 0

    @property
    def is_writer(self) -> bool:
        """Whether this replica writes the files of the run."""
        return self._roll.is_writer

    @property
    def stopping(self) -> bool:
        """Whether all have agreed to stop."""
        return self._roll.stopping

    def join(self, done: int) -> int:
        """Take part, with ``done`` steps in the weights here; the steps that are in them then.

        Others may wait for the first step of one that joins: what makes it slow (the compiler) is done before.
        """
        own = [(0, self.seat.replica)]
        vectors_of(self._work(lambda counts_LE: counts_LE), own, self.seat.replica, partial(self._batch, done))
        self._roll.join()
        return self._gather(done)

    def step(self, step: int, lr_factor: float, wish_to_stop: bool) -> StepResult:
        """Step ``step`` (from 0), kept by all members, with whichever members it takes."""
        if self._roll.regroup_due:
            self._changed(step)
        training = self.training
        while True:
            try:
                total = self._total(step)
                training.board.at("exchange")
                if self._roll.vote(step, wish_to_stop):
                    break
            except Broken as broken:
                self._clear()
                self._roll.complain(str(broken))
            self._clear()
            self._changed(step)
        model = self._model
        result = put_back(model, total)
        training.board.at("update")
        result.grad_norm, result.kept = update(training.optimizer, result.loss, lr_factor, training.spikes)
        return result

    def differing(self, done: int) -> Differing | None:
        """Compare the bits of weights and optimizer with those of the other members, after ``done`` steps.

        A replica that differs from most of the others ends here, and comes back with theirs. What is given is a
        difference of which nobody knows who is right.
        """
        said = self._roll.words_of_all(f"bits/{done}", digest(self.training.state()))
        if said is None:  # the members have just changed: the next time, then
            return None
        found = odd_ones([("", bits, f"replica {member}") for member, bits in said.items()])
        if found is None or not found.sure:
            return found
        if f"replica {self.seat.replica}" in {host for _, host in found.ranks}:
            os._exit(DIFFERS)
        return None

    def finished(self, done: int, wish_to_stop: bool) -> bool:
        """Whether all members have come to the end; False: they have changed, and what is left is to be looked at."""
        self.training.board.at("exchange")
        if self._roll.vote(END, wish_to_stop):
            return True
        self._changed(done)
        return False

    def close(self) -> None:
        """Take part no more."""
        self._roll.close()
        if self._group is not None:
            self._group.leave()

    @property
    def _model(self) -> Decoder:
        model = self.training.model
        assert isinstance(model, Decoder)
        return model

    def _total(self, step: int) -> Tensor:
        """Gradients and losses of the whole global batch."""
        quorum, group, training, replica = self._quorum, self._group, self.training, self.seat.replica
        assert group is not None
        training.board.at("forward and backward")
        work = self._work(partial(self._counted, group))
        vectors = vectors_of(work, self._units[replica], replica, partial(self._batch, step))
        every = training.spec.compute.replay_every
        if every and (step + 1) % every == 0 and len(quorum.members) > 1:
            self._verify(step, work, vectors)
        training.board.at("exchange")
        sent = [units_sent(self._units[member], member) for member in quorum.members]
        return group.total(vectors.values, sent, self.seat.replicas)

    def _verify(self, step: int, work: Work, vectors: Vectors) -> None:
        """Compare with what the next member finds for the units here; a replica that is wrong ends, and comes back.

        Raises:
            Miscomputed: members disagree, and nobody can say who is wrong; on all of them.
        """
        members, training = self._quorum.members, self.training
        training.board.at("replay")

        def tried(places: int) -> Computed:
            whose = members[(members.index(self.seat.replica) + places) % len(members)]
            again = vectors_of(work, self._units[whose], whose, partial(self._batch, step))
            training.board.at("replay")
            return self._computed(whose, again)

        mine, told = self._computed(self.seat.replica, vectors), partial(self._told_to_all, f"replay/{step}")
        found = verified([mine], tried, len(members), told)
        if found is not None:
            self.on_disagreement(step, found)
            if not found.sure:
                self._clear()
                raise found
            if self.seat.replica in {rank // self.seat.ranks for rank, _ in found.ranks}:
                os._exit(MISCOMPUTED)

    def _computed(self, whose: int, vectors: Vectors) -> Computed:
        rank = self.seat.replica * self.seat.ranks + self.seat.rank
        return Computed(f"{whose}/{self.seat.rank}", rank, socket.gethostname(), fingerprint(vectors.values))

    def _told_to_all(self, name: str, number: int, mine: list[Computed]) -> list[Computed] | None:
        """What all ranks of all members computed; None, on all ranks of this replica, if the epoch ends before."""
        said = self._roll.words_of_all(f"{name}/{number}", json.dumps([astuple(one) for one in mine]))
        of_places = self.training.ranks.gather(said)
        if any(words is None for words in of_places):
            return None
        of_ranks = [json.loads(word) for words in of_places for word in words.values()]
        return [Computed.of_json(values) for of_rank in of_ranks for values in of_rank]

    def _work(self, add_counts: Callable[[Tensor], Tensor]) -> Work:
        training, spec = self.training, self.training.spec
        n_targets = spec.layout.global_batch_size * spec.layout.seq_len
        return Work(self._model, n_targets, spec.loss, training.dtype, training.sums, add_counts)

    def _counted(self, group: ReplicaGroup, counts_LE: Tensor) -> Tensor:
        """The sum of ``counts_LE`` over the members.

        All ranks of a replica go on from here to the backward pass, where they wait for each other, or none does.
        """
        board, failed = self.training.board, None
        board.at("exchange")
        try:
            counts_LE = group.sum_of_counts(counts_LE)
        except Broken as broken:
            failed = broken
        if self.training.sums.of_number(float(failed is not None), counts_LE.device):
            raise failed or Broken("another rank of this replica could not exchange")
        board.at("forward and backward")
        return counts_LE

    def _batch(self, step: int, unit: Unit) -> MicroBatch:
        """The sequences of a unit that this rank of the replica works on."""
        training, (number, share) = self.training, unit
        share = share * self.layout.shares_a_replica + training.place_in_data
        sequences = share_of_batch(self.layout, share)[number]
        documents = training.spec.data.mask_documents
        batch = training.batches.batch(step, sequences.start, sequences.stop, documents=documents)
        return to_micro_batch(batch, training.device)

    @property
    def _quorum(self) -> Quorum:
        assert self._roll.quorum is not None
        return self._roll.quorum

    def _changed(self, done: int) -> None:
        """Find the new members, with ``done`` steps in the weights; then whoever writes now catches up."""
        self._gather(done)
        self.on_change(done)

    def _gather(self, done: int) -> int:
        """Wait for an epoch that all its members come to, and be as far as the furthest; the steps done then."""
        self.training.board.at("exchange")
        while True:
            if self._group is not None:
                self._group.leave()
            quorum, have = self._roll.next_quorum({"done": done, "bad": self.bad_in_a_row})
            furthest = max(found["done"] for found in have.values())
            if furthest < 0:
                raise RuntimeError("no replica is left that has the weights whole")
            behind, done = done < furthest, -1 if done < furthest else done  # -1: until all of the state has come
            try:
                self._group = self._new_group(quorum)
                self._catch_up(quorum, have, furthest)
            except Broken as broken:
                self._roll.complain(str(broken))
                continue
            if not self._roll.vote(READY, False):  # all ranks of all members, or none
                continue
            done = furthest if behind else done
            self._units = units_of(quorum.members, self.seat.replicas, self.layout.accumulation_steps)
            return done

    def _new_group(self, quorum: Quorum) -> ReplicaGroup:
        place = quorum.members.index(self.seat.replica)
        return ReplicaGroup(self._roll.store_of_epoch(), place, len(quorum.members), lambda: self._roll.over)

    def _catch_up(self, quorum: Quorum, have: dict[int, dict[str, int]], furthest: int) -> None:
        """Weights and optimizer from the first member that is ``furthest`` to all that are behind."""
        group, members = self._group, quorum.members
        assert group is not None
        source = next(member for member in members if have[member]["done"] == furthest)
        behind = [member for member in members if have[member]["done"] < furthest]
        state = [held_tensor(tensor) for _, tensor in sorted(self.training.state().items())]
        if behind:
            group.bring(state, members.index(source), [members.index(member) for member in behind])
        if self.seat.replica in behind:
            self.bad_in_a_row = have[source]["bad"]

    def _clear(self) -> None:
        for parameter in self._model.parameters():
            parameter.grad = None

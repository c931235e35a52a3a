"""Plays the dependency graph of one step: every stage works through its fixed order, and a pass starts when its
input has arrived and the compute stream is free.

The graph: a forward needs the forward of the chunk before it, a backward the backward of the chunk behind it, each
one hop later; the last chunk's backward needs its forward. Beside it the dp stream gathers parameters in the order
in which the first micro-batch meets them, and reduces gradients in the order in which the last one leaves them
(arXiv:2006.15704, section 3.2.3); what waits for it waits unit by unit.
"""

from dataclasses import dataclass, field

from kolossos.plan.events.chunk import ChunkPass, slowed_by
from kolossos.plan.events.work import Work
from kolossos.plan.schedules.tasks import BACKWARD, FORWARD, WEIGHT, Task


@dataclass(frozen=True)
class PlayedPass:
    """One pass as it went; ``unit_starts_s`` and ``unit_durations_s`` where they differ from the usual."""

    stage: int
    task: Task
    start_s: float
    duration_s: float
    unit_starts_s: tuple[float, ...] | None = None
    unit_durations_s: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Transfer:
    """A hop to ``to_stage`` (pp stream) or a collective of one unit's parameters (dp stream, ``to_stage`` = -1)."""

    stage: int
    task: Task
    name: str
    start_s: float
    duration_s: float
    to_stage: int = -1


@dataclass
class Played:
    """One step up to the point where every stage has its gradients. Lists by stage hold seconds."""

    passes: list[PlayedPass]
    hops: list[Transfer]
    collectives: list[Transfer]
    compute_end_s: list[float]
    dp_end_s: list[float]
    stalled_s: list[float]
    """Waiting for parameters inside a pass."""
    slowed_s: list[float]
    """Contention with the dp stream, besides what the passes hold themselves."""

    @property
    def end_s(self) -> float:
        """When the last stage has its gradients."""
        return max(*self.compute_end_s, *self.dp_end_s)


@dataclass
class _Stage:
    """One GPU of a stage while the step is played."""

    order: list[Task]
    next: int = 0
    free_s: float = 0.0
    dp_free_s: float = 0.0
    pp_free_s: float = 0.0
    gathered_s: list[list[float]] = field(default_factory=list)
    """When the parameters of each unit of each chunk are there; empty where nothing is waited for."""


class Player:
    """State of one play; ``play`` is the way in."""

    def __init__(self, work: Work, orders: list[list[Task]]):
        self.work = work
        self.stages = [_Stage(order, free_s=work.overhead_s, dp_free_s=work.overhead_s) for order in orders]
        n_stages = len(self.stages)
        self.last_chunk = n_stages * work.vp - 1
        self.arrived = [[[-1.0] * work.n_micro for _ in range(n_stages * work.vp)] for _ in range(2)]
        self.arrived[FORWARD][0] = [work.overhead_s] * work.n_micro
        self.reducing = WEIGHT if work.splits_backward else BACKWARD
        self.reduces = work.dp_overlap and not work.streamed
        self.played = Played([], [], [], [], [], [0.0] * n_stages, [0.0] * n_stages)

    def run(self) -> Played:
        """Play to the end; ValueError if the orders wait for each other in a circle."""
        if self.work.dp_overlap and self.work.gathers:
            self._gather()
        remaining = sum(len(stage.order) for stage in self.stages)
        while remaining:
            before = remaining
            for index in range(len(self.stages)):
                remaining -= self._advance(index)
            if remaining == before:
                raise ValueError("the schedule's stages wait for each other in a circle")
        self.played.compute_end_s = [stage.free_s for stage in self.stages]
        self.played.dp_end_s = [stage.dp_free_s for stage in self.stages]
        return self.played

    def _gather(self) -> None:
        """Parameters of the optimizer's last step, on every stage's dp stream from the beginning of this one."""
        for index, stage in enumerate(self.stages):
            for chunk, units in enumerate(self.work.stages[index].units):
                ends = []
                for unit in units:
                    task = Task(FORWARD, 0, chunk)
                    self._talk(index, task, f"gather parameters {unit.name}", stage.dp_free_s, unit.gather_s)
                    ends.append(stage.dp_free_s)
                stage.gathered_s.append(ends)

    def _advance(self, index: int) -> int:
        """Let one stage run until it waits; how many passes it did."""
        work, stage, arrived = self.work, self.stages[index], self.arrived
        order, passes, n_stages = stage.order, work.stages[index].passes, len(self.stages)
        first, log, last_micro = stage.next, self.played.passes, work.n_micro - 1
        while stage.next < len(order):
            task = order[stage.next]
            direction, micro_batch, chunk = task
            place = chunk * n_stages + index
            ready = 0.0 if direction == WEIGHT else arrived[direction][place][micro_batch]
            if ready < 0.0:
                break
            start = ready if ready > stage.free_s else stage.free_s
            usual = passes[chunk][direction]
            waits = direction == FORWARD and micro_batch == 0 and stage.gathered_s
            if waits or (direction == self.reducing and micro_batch == last_micro and self.reduces):
                played = self._unit_by_unit(index, task, usual, start)
            else:
                duration = usual.seconds
                if stage.dp_free_s > start:
                    slower = slowed_by(work.contention, stage.dp_free_s - start, duration)
                    self.played.slowed_s[index] += slower
                    duration += slower
                played = PlayedPass(index, task, start, duration)
            log.append(played)
            stage.free_s = start + played.duration_s
            self._hand_on(index, task, place)
            stage.next += 1
        return stage.next - first

    def _unit_by_unit(self, index: int, task: Task, usual: ChunkPass, start: float) -> PlayedPass:
        """A pass whose units wait for their parameters, or hand their gradients to the dp stream one by one."""
        stage, starts, durations = self.stages[index], [], []
        gathered = stage.gathered_s[task.chunk] if stage.gathered_s and task.direction == FORWARD else None
        now = start
        for i, unit in enumerate(usual.units):
            begin = max(now, gathered[i]) if gathered else now
            self.played.stalled_s[index] += begin - now
            work = unit.passes[task.direction].seconds
            slower = slowed_by(self.work.contention, stage.dp_free_s - begin, work)
            self.played.slowed_s[index] += slower
            starts.append(begin - start)
            durations.append(work + slower)
            now = begin + work + slower
            if gathered is None:
                ready = max(stage.dp_free_s, now)
                self._talk(index, task, f"reduce gradients {unit.name}", ready, unit.reduce_s)
        return PlayedPass(index, task, start, now - start, tuple(starts), tuple(durations))

    def _hand_on(self, index: int, task: Task, place: int) -> None:
        """Send what a pass made to the stage that needs it."""
        stage, arrived = self.stages[index], self.arrived
        if task.direction == WEIGHT:
            return
        if task.direction == FORWARD and place == self.last_chunk:
            arrived[BACKWARD][place][task.micro_batch] = stage.free_s
            return
        to = place + 1 if task.direction == FORWARD else place - 1
        if to < 0:
            return
        hop = self.work.hop_s
        start = max(stage.free_s, stage.pp_free_s)
        stage.pp_free_s = arrived[task.direction][to][task.micro_batch] = start + hop
        to_stage = to % len(self.stages)
        name = "send activations" if task.direction == FORWARD else "send gradients"
        self.played.hops.append(Transfer(index, task, name, start, hop, to_stage))
        if self.work.hops_block:
            stage.free_s = start + hop

    def _talk(self, index: int, task: Task, name: str, start: float, seconds: float) -> None:
        if seconds > 0.0:
            self.played.collectives.append(Transfer(index, task, name, start, seconds))
            self.stages[index].dp_free_s = start + seconds


def play(work: Work, orders: list[list[Task]]) -> Played:
    """One step, up to the point where every stage has its gradients; ValueError if the orders can not be played."""
    return Player(work, orders).run()

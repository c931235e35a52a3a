"""A run that goes back: to a good checkpoint from before a bad step, and on with the data behind that step.

Where it goes back to depends on the step alone, not on how often the run was interrupted: the newest checkpoint that is
due (``checkpoint.every``) and ``optimizer.back_steps`` before the bad step. What was saved behind it is removed first,
then the record is written (kolossos/runs/rollbacks.py), then the state is read: a run that ends in between finds the
same bad step again, or the record.
"""

from dataclasses import dataclass, field

from kolossos.errors import InputError
from kolossos.runs.rollbacks import Rollback, batch_of, of_history, read_rollbacks, write_rollbacks
from kolossos.specs.run import RunSpec
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.recorder import Recorder
from kolossos.train.setup import Training


def step_to_return_to(spec: RunSpec, done: int) -> int:
    """The steps done that a run goes back to from a bad step behind ``done`` steps."""
    every = spec.checkpoint.every
    return max(0, done - spec.optimizer.back_steps) // every * every if every else 0


@dataclass
class Rollbacks:
    """Those of one run; all ranks call everything together."""

    training: Training
    checkpoints: CheckpointFolder
    recorder: Recorder
    all: list[Rollback] = field(init=False, default_factory=list)

    def resume(self, done: int) -> None:
        """Read what belongs to a run that goes on after ``done`` steps; what does not is forgotten."""
        spec, ranks, path = self.training.spec, self.training.ranks, self.recorder.folder.files.rollbacks
        found, error = [], None
        try:
            found = read_rollbacks(path) if ranks.rank == 0 else []
        except InputError as unreadable:
            error = str(unreadable)
        found, error = ranks.gather((found, error))[0]
        if error:
            raise InputError(error)
        self._follow(of_history(found, done))
        if self.all != found and self.recorder.is_writer:
            write_rollbacks(path, self.all)
        if spec.optimizer.bad_steps == "roll-back":
            self.checkpoints.returns_to = lambda saved: step_to_return_to(spec, saved)

    def complete(self) -> None:
        """Write the event of the last one if the run ended before that was done."""
        if self.all:
            self.recorder.went_back(self.all[-1], self.batches_left_out, again=True)

    def go_back(self, done: int, loss: float, grad_norm: float) -> int:
        """Back from the bad step behind ``done`` steps; the steps done then, with the state of that step.

        Raises:
            InputError: nothing good is left to go back to, and the run began with given weights.
        """
        training, checkpoints = self.training, self.checkpoints
        checkpoints.finish()
        checkpoint = checkpoints.newest_good(self.recorder.say, step_to_return_to(training.spec, done))
        if checkpoint is None and training.spec.init is not None:
            raise InputError(f"{self.recorder.folder.path}: no good checkpoint from before step {done + 1} is left")
        to = checkpoint.step if checkpoint else 0
        checkpoints.forget_after(to)
        training.ranks.gather(None)  # it is gone before anybody goes on
        behind = batch_of(done, self.all) + 1 + training.spec.optimizer.skip_batches
        rollback = Rollback(to, done + 1, behind, loss, grad_norm)
        self._follow([*self.all, rollback])
        if self.recorder.is_writer:
            write_rollbacks(self.recorder.folder.files.rollbacks, self.all)
        training.ranks.gather(None)
        if checkpoint is None:
            training.restart()
        else:
            checkpoint.load(training.state())
        self.recorder.went_back(rollback, self.batches_left_out)
        return to

    @property
    def batches_left_out(self) -> int:
        """By the last one: between the batch of the last step that stays and the next one that is read."""
        *before, last = self.all
        return last.data - batch_of(last.to, [one for one in before if one.to <= last.to])

    def _follow(self, rollbacks: list[Rollback]) -> None:
        self.all = rollbacks
        self.training.batch_of = lambda step: batch_of(step, rollbacks)

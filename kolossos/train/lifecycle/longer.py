"""A run made longer: the steps that are done stay what they are, or the run goes back to where the rate would differ.

A run that was made longer has the bits of one that asked for so many steps from the beginning. With a schedule of kind
wsd the rate depends on the number of steps only in the decay at the end, so the checkpoint before the decay is kept.
"""

from kolossos.errors import InputError
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import RunSpec
from kolossos.train.checkpoints.names import committed_steps
from kolossos.train.schedule import decay_start, same_rate_until


def step_that_stays(run: RunFolder, spec: RunSpec) -> int:
    """The step up to which ``run`` has done what ``spec`` asks for, and has a checkpoint of.

    Raises:
        InputError: steps done would have had another learning rate, and nothing from before them is kept.
    """
    before, after = run.spec.schedule, spec.schedule
    there = committed_steps(run.files.checkpoints)
    if before == after or not there:
        return max(there, default=0)
    same = same_rate_until(before, after)
    if usable := [step for step in there if step <= same]:
        return usable[-1]
    why = "the checkpoint from before its decay is not there"
    if after.kind == "cosine":
        why = "a cosine depends on it from the first step (a run of kind 'wsd' can be made longer)"
    raise InputError(
        f"{run.path}: schedule.steps = {before.steps} cannot become {after.steps}: steps that are done would have had "
        f"another learning rate from step {same + 1} on; {why}; put it back, or start another run in another folder"
    )


def step_to_keep(spec: RunSpec) -> int | None:
    """The step whose checkpoint stays although newer ones are there; None if no step is worth it."""
    if spec.schedule.kind != "wsd":
        return None
    start = decay_start(spec.schedule)
    return start if spec.schedule.warmup_steps < start < spec.schedule.steps else None

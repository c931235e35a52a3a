"""Which layouts can be trained in today. What cannot is refused by name, before torch is loaded: never ignored."""

from kolossos.errors import InputError
from kolossos.parallel.coordinates import require_world
from kolossos.parallel.replaying import require_partners
from kolossos.parallel.takes import require_takes, require_takes_survival
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec
from kolossos.specs.run import RunSpec

PRECISIONS = ("auto", "bf16", "fp32")


def require_trainable(layout: Layout, model: ModelSpec, processes: int = 1) -> None:
    """InputError naming the first key of ``layout`` that training of ``model`` on ``processes`` has no program for."""
    require_world(layout, processes)
    require_takes(layout, model)
    require_trainable_precision(layout.precision)


def require_survivable(spec: RunSpec, minutes: float | None = None) -> None:
    """InputError for what cannot be trained by replicas that come and go, where ``spec`` wants them to."""
    require_way_back(spec)
    require_no_copies(spec)
    if spec.compute.replay_every:
        require_partners(spec.layout)
    if not spec.survival.replicas:
        return
    require_takes_survival(spec.layout)
    if minutes is not None:
        raise InputError("survival.replicas: the number of steps cannot be chosen by time; set schedule.steps")


def require_no_copies(spec: RunSpec) -> None:
    """InputError where replicas that come and go would keep copies in memory: they bring each other the state."""
    if spec.survival.replicas and spec.checkpoint.memory_every:
        raise InputError(
            "checkpoint.memory_every is for runs without survival.replicas, which have the state on every replica; "
            "set it to 0"
        )


def require_way_back(spec: RunSpec) -> None:
    """InputError where ``spec`` wants to roll back and cannot."""
    if spec.optimizer.bad_steps != "roll-back":
        return
    if spec.checkpoint.every == 0:
        raise InputError("optimizer.bad_steps = 'roll-back' needs checkpoints to go back to: set checkpoint.every")
    if spec.survival.replicas:
        raise InputError(
            "optimizer.bad_steps = 'roll-back' does not go with survival.replicas = true yet; use 'skip' or 'stop'"
        )


def require_trainable_precision(precision: str) -> None:
    """InputError if products cannot run in ``precision``."""
    if precision not in PRECISIONS:
        raise InputError(
            f"layout.precision = {precision!r} is not available for training yet; use 'auto', 'bf16' or 'fp32'"
        )

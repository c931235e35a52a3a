"""Which layouts can be trained in today. What cannot is refused by name, before torch is loaded: never ignored."""

from kolossos.errors import InputError
from kolossos.parallel.coordinates import degrees
from kolossos.specs.layout import Layout

PRECISIONS = ("auto", "bf16", "fp32")


def require_trainable(layout: Layout) -> None:
    """InputError naming the first key of ``layout`` that training has no program for."""
    if layout.world_size > 1:
        asked = ", ".join(f"{axis} = {degree}" for axis, degree in degrees(layout).items() if degree > 1)
        raise InputError(
            f"the layout needs {layout.world_size} ranks and this is one process; set to 1 what is more: {asked}"
        )
    for key, what in (
        ("ep", "spreads the experts over ranks"),
        ("etp", "cuts an expert over ranks"),
        ("vp", "chunks the stages of a pipeline"),
    ):
        if getattr(layout, key) > 1:
            raise InputError(f"layout.{key} = {getattr(layout, key)} {what}, and this is one rank; set it to 1")
    if layout.schedule != "1f1b":
        raise InputError(f"layout.schedule = {layout.schedule!r} is a pipeline's, and there is none; use '1f1b'")
    require_trainable_precision(layout.precision)


def require_trainable_precision(precision: str) -> None:
    """InputError if products cannot run in ``precision``."""
    if precision not in PRECISIONS:
        raise InputError(
            f"layout.precision = {precision!r} is not available for training yet; use 'auto', 'bf16' or 'fp32'"
        )

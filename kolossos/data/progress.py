"""How the pipeline tells how far it is, without knowing who listens."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as (stage, done, total), in bytes of text; an exception from it stops the run, which can then be resumed."""


def no_progress(stage: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""

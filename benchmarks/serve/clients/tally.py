"""Counts calls that did what they should; a line for each, and `NAME: n of n` in the end."""

from collections.abc import Callable


class Tally:
    def __init__(self, name: str) -> None:
        self.name, self.right, self.all = name, 0, 0

    def call(self, what: str, work: Callable[[], object]) -> None:
        """``work`` gives True or what it saw instead; an exception counts as wrong."""
        self.all += 1
        try:
            seen = work()
        except Exception as error:
            seen = f"{type(error).__name__}: {error}"
        self.right += seen is True
        print(
            f"  {'right' if seen is True else 'WRONG'}  {what}{'' if seen is True else f': {str(seen)[:200]}'}",
            flush=True,
        )

    def close(self) -> int:
        """Exit code."""
        print(f"{self.name}: {self.right} of {self.all}", flush=True)
        return int(self.right != self.all)


def check(**found: object) -> bool | dict:
    """True if every value is true; else the ones that are not."""
    wrong = {name: value for name, value in found.items() if not value}
    return wrong or True

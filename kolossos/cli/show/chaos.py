"""What became of a run under faults: a table by kind, and the comparison in words."""

from typing import Any

from rich.console import Console
from rich.table import Table

from kolossos.chaos.command import ChaosOutcome

TIMES = {"noticed_s": "noticed", "went_on_s": "went on", "back_s": "all back"}


def show_chaos(outcome: ChaosOutcome, console: Console | None = None) -> None:
    """Seconds are median and longest, from the fault on."""
    console = console or Console()
    table = Table("fault", "how many", *(f"{name} (s)" for name in TIMES.values()), "steps redone", box=None)
    for row in outcome.by_kind:
        redone = str(row["steps_redone"]["all"])
        table.add_row(row["kind"], str(row["faults"]), *(_times(row[name]) for name in TIMES), redone)
    console.print(table)
    found = outcome.comparison
    if outcome.is_equal:
        console.print(f"all {found['events']} events and the last weights are those of the unbroken run, to the bit")
    else:
        console.print(
            f"exit code {outcome.code}; {found['events_that_differ']} of {found['events']} events differ"
            f"{' from ' + str(found['first_that_differs']) if found['events_that_differ'] else ''}; "
            f"the last weights are {'equal' if found['weights_equal'] else 'others'}"
        )


def _times(found: dict[str, Any] | None) -> str:
    return "-" if found is None else f"{found['median']:.2f}, {found['most']:.2f}"

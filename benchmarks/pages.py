"""What the pages are filled from: where results lie, and how a figure gets into its place."""

import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results"
BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, figures: dict[str, Callable[[], str]]) -> str:
    """The text of ``page`` with every block between `<!-- figures: NAME -->` and `<!-- end -->` made anew."""
    return BLOCK.sub(lambda match: f"{match[1]}{figures[match[2]]()}\n{match[3]}", page)

"""The figures of docs/ground.md on index and search, from the results."""

import json
from collections.abc import Callable
from typing import Any

from ground import million, retrieval
from pages import RESULTS


def _latest(kind: str) -> dict[str, Any]:
    return json.loads(sorted(RESULTS.glob(f"{kind}-2*.json"))[-1].read_text())


FIGURES: dict[str, Callable[[], str]] = {
    "ground_retrieval": lambda: retrieval.page(_latest("ground-retrieval")),
    "ground_million": lambda: million.page(_latest("ground-million")),
}

"""What a proposal rests on: which tables, which scorer, which score and how far from its threshold."""

import hashlib
import math
from typing import Any

from kolossos.errors import InputError

SCORER = "kolossos core 1, after twitter/communitynotes 273c895"
STALE_AFTER = 48 * 3_600_000  # ms: a public release is as old as that at most, or it is not the latest
HELPFUL_THRESHOLD = 0.40
_MICRO = 1_000_000


def snapshot_hash(inputs: list[dict[str, Any]]) -> str:
    """One hash of all tables read: of their names and hashes, in order of name."""
    lines = sorted(f"{entry['sha256']} {entry['path'].rsplit('/', 1)[-1]}" for entry in inputs)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def evidence(inputs: list[dict[str, Any]], at: int, status: str, intercept: float | None) -> dict:
    """The evidence of a proposal; ``at`` is the moment that the tables show (ms). A score is kept in millionths."""
    found = None if intercept is None or math.isnan(intercept) else round(intercept * _MICRO)
    margin = None if found is None else found - round(HELPFUL_THRESHOLD * _MICRO)
    return {
        "snapshot": snapshot_hash(inputs),
        "scorer": SCORER,
        "at": int(at),
        "status": status,
        "intercept_micro": found,
        "margin_micro": margin,
    }


def require_fresh(stated: dict, now: int, stale_after: int = STALE_AFTER) -> None:
    """InputError unless the evidence is whole and its tables are no older than ``stale_after`` ms."""
    missing = [name for name in ("snapshot", "scorer", "at", "status") if not stated.get(name)]
    if missing:
        raise InputError("a proposal's evidence names " + ", ".join(missing))
    if type(stated["at"]) is not int or stated["at"] > now:
        raise InputError(f"the evidence is of {stated['at']!r:.30}, which is not a time before now ({now})")
    if now - stated["at"] > stale_after:
        hours = (now - stated["at"]) // 3_600_000
        raise InputError(
            f"the tables are {hours} hours old: a proposal takes none older than {stale_after // 3_600_000}"
        )

"""A scoring run in a few figures."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from kolossos.notes.score.columns import CRH
from kolossos.notes.score.run import Scoring
from kolossos.notes.tables.contradictions import contradictions
from kolossos.notes.tables.read import Tables


def summarise(scoring: Scoring, tables: Tables, written: dict[str, int]) -> dict[str, Any]:
    """Inputs with hashes, what was dropped, both fits, statuses, and what was written; JSON-able."""
    pre, core, world = scoring.prescoring, scoring.core, scoring.world
    judged = core.judged_N
    both = (core.verdicts.status_N == CRH) & judged
    return {
        "now": world.now,
        "inputs": [{"path": f.path, "rows": f.rows, "sha256": f.sha256} for f in tables.files],
        "contradictions": [asdict(c) for c in contradictions(tables) if c.rows],
        "ratingsDropped": {reason: rows for reason, rows in world.dropped.items() if rows},
        "firstFit": _fit(pre.first),
        "secondFit": _fit(pre.second),
        "ratersAboveThreshold": int(pre.helpfulness.above_threshold_P.sum()),
        "notes": len(world.notes),
        "judgedByCore": int(judged.sum()),
        "coreStatuses": dict(Counter(core.verdicts.status_N[judged].tolist())),
        "finalStatuses": dict(Counter(scoring.final.status_N.tolist())),
        "gaussianAgreesOnHelpful": int((both & (scoring.gaussian.status_N == CRH)).sum()),
        "coreHelpful": int(both.sum()),
        "written": written,
    }


def _fit(fitted: Any) -> dict[str, float]:
    return {
        "ratings": fitted.ratings,
        "notes": fitted.notes,
        "raters": fitted.raters,
        "loss": fitted.loss,
        "meanSquaredError": fitted.mean_squared_error,
        "sweeps": fitted.sweeps,
    }

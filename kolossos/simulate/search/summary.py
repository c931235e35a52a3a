"""What a search found, as plain dictionaries."""

from typing import Any

import numpy as np

from kolossos.simulate.engine.play import ideal_tokens
from kolossos.simulate.quantiles import quantiles
from kolossos.simulate.scenario import Scenario
from kolossos.simulate.search.optimise import Candidate, Search


def search_as_dict(search: Search) -> dict[str, Any]:
    """The best policy and all that were tried, in their order."""
    return {"best": best_as_dict(search), "tried": [_tried(search, candidate) for candidate in search.tried]}


def best_as_dict(search: Search) -> dict[str, Any]:
    """The best policy, beside what Young's and Daly's intervals would deliver on the same failures."""
    best, spec = search.best, search.best.scenario.spec
    made: dict[str, Any] = {
        "objective": search.objective.name,
        "checkpoint_interval_s": best.interval_s,
        "policy": spec.recovery.policy,
        **_varied(best),
        "value": quantiles(search.objective.value(best.outcome)),
        "goodput": quantiles(best.outcome.goodput),
        "replicates": spec.replicates,
        "young_s": search.young_s,
        "daly_s": search.daly_s,
        "near_best_interval_s": _near_best(search),
    }
    for name, interval in (("young", search.young_s), ("daly", search.daly_s)):
        same = [c for c in search.tried if c.scenario.spec == spec and _close(c.interval_s, interval, best)]
        if same:
            made[f"gain_over_{name}"] = quantiles(best.outcome.tokens / np.maximum(same[-1].outcome.tokens, 1.0) - 1.0)
    return made


def policies_as_dict(found: dict[str, Candidate]) -> dict[str, Any]:
    """Goodput of each recovery policy on the same failures, and its tokens at the step time as promised."""
    return {
        name: {
            "goodput": quantiles(candidate.outcome.goodput),
            "tokens": quantiles(candidate.outcome.goodput * _promised_tokens(candidate.scenario)),
            "checkpoint_interval_s": candidate.interval_s,
            "runs": candidate.scenario.spec.replicates,
        }
        for name, candidate in found.items()
    }


def _promised_tokens(scenario: Scenario) -> float:
    return ideal_tokens(scenario.phases, scenario.spec.days)


def _close(candidate_s: float, interval_s: float, best: Candidate) -> bool:
    """Whether a candidate was played at this interval, or at the shortest allowed where that is longer."""
    return bool(np.isclose(candidate_s, max(interval_s, best.scenario.spec.checkpoint.background), rtol=1e-6))


def _near_best(search: Search) -> list[float]:
    """Shortest and longest interval tried that costs less than 0.1 % of the tokens."""
    best = search.best
    same = [c for c in search.tried if c.scenario.spec == best.scenario.spec]
    good = [c.interval_s for c in same if c.outcome.tokens.mean() >= 0.999 * best.outcome.tokens.mean()]
    return [min(good, default=best.interval_s), max(good, default=best.interval_s)]


def _tried(search: Search, candidate: Candidate) -> dict[str, Any]:
    return {
        "checkpoint_interval_s": candidate.interval_s,
        **_varied(candidate),
        "value": float(search.objective.value(candidate.outcome).mean()),
        "goodput": float(candidate.outcome.goodput.mean()),
    }


def _varied(candidate: Candidate) -> dict[str, Any]:
    """Spares, replicas, and whatever else the policy lets a search vary."""
    keys = dict.fromkeys(("spare_nodes", "replicas", *candidate.scenario.policy.search))
    return {key: getattr(candidate.scenario.spec.recovery, key) for key in keys}

"""The answer to `kolossos simulate`: a run played many times, at the interval and spares asked for or searched for."""

from dataclasses import dataclass
from typing import Any

from kolossos.simulate.engine.play import Outcome, simulate
from kolossos.simulate.scenario import Scenario
from kolossos.simulate.search.objectives import TOKENS_PER_DAY
from kolossos.simulate.search.optimise import Search, optimise, policies, resolved_interval_s
from kolossos.simulate.search.summary import best_as_dict, policies_as_dict
from kolossos.simulate.summary import summary


@dataclass(frozen=True)
class Answer:
    """A simulated run with its figures, and the search before it, if there was one."""

    outcome: Outcome
    search: Search | None
    figures: dict[str, Any]


def answer(scenario: Scenario, search: bool) -> Answer:
    """Simulate; with ``search``, at the best interval (where none is given) and spares, beside all other policies."""
    if not search:
        outcome = simulate(scenario, resolved_interval_s(scenario))
        return Answer(outcome, None, summary(outcome))
    found = optimise(scenario, TOKENS_PER_DAY, replicates=8)
    given = scenario.spec.checkpoint.interval_s
    interval_s = found.best.interval_s if given == "auto" else given
    outcome = simulate(found.best.scenario.with_replicates(scenario.spec.replicates), interval_s)
    compared = policies_as_dict(policies(outcome.scenario, interval_s))
    return Answer(outcome, found, {**summary(outcome), "best": best_as_dict(found), "policies": compared})

"""What a search can look for: one entry an objective."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kolossos.errors import InputError, nearest
from kolossos.simulate.engine.play import Outcome
from kolossos.simulate.piecewise import Array
from kolossos.simulate.power import cost_usd, energy_mwh


@dataclass(frozen=True)
class Objective:
    """A figure of every replicate, and whether more of it is better."""

    name: str
    unit: str
    more_is_better: bool
    value: Callable[[Outcome], Array]

    def loss(self, outcome: Outcome) -> float:
        """The mean over the replicates, signed so that less is better."""
        mean = float(self.value(outcome).mean())
        return -mean if self.more_is_better else mean


def _tokens_per_day(outcome: Outcome) -> Array:
    return outcome.tokens / outcome.scenario.spec.days


def _cost_per_token(outcome: Outcome) -> Array:
    return cost_usd(outcome.scenario, energy_mwh(outcome)) / np.maximum(outcome.tokens, 1.0) * 1e12


TOKENS_PER_DAY = Objective("tokens-per-day", "tokens/day", True, _tokens_per_day)
COST_PER_TOKEN = Objective("cost-per-token", "USD per 1e12 tokens", False, _cost_per_token)
OBJECTIVES = {objective.name: objective for objective in (TOKENS_PER_DAY, COST_PER_TOKEN)}


def objective_of(name: str) -> Objective:
    """The objective of that name; InputError names the nearest."""
    if name not in OBJECTIVES:
        raise InputError(f"unknown objective '{name}'{nearest(name, OBJECTIVES)}")
    return OBJECTIVES[name]

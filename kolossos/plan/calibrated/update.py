"""What some measured steps say about coefficients, and how much surer a prediction of another step is then.

Bayes' rule for normal errors: the coefficients of one machine differ from the fitted ones by normal logarithms of
``scale`` times their widths, and a measured step from its prediction by ``noise`` besides. All were chosen on groups
of published runs (source, model, card, software) as left-out ones see them: ``benchmarks/calibrate_on.py``.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kolossos.plan.calibrated.coefficients import WIDTHS
from kolossos.specs.strict import Spec, read_toml

PRIOR = Path(__file__).parent / "prior.toml"

Array = NDArray[np.float64]


class Prior(Spec):
    """How far one machine's coefficients are from the fitted ones, and a step from what they say (log units).

    doubt: what stands for ``noise`` where intervals are narrowed, for the errors' tails are heavier than normal ones.
    """

    made: str
    rows: int
    groups: int
    scale: float = Field(gt=0)
    noise: float = Field(gt=0)
    doubt: float = Field(gt=0)


@cache
def load_prior(path: Path = PRIOR) -> Prior:
    """Read it (once)."""
    return Prior.parse(read_toml(path), str(path))


def posterior(errors_N: Array, slopes_NC: Array, prior: Prior) -> Array:
    """The most probable logarithms of the coefficients' factors, [C].

    errors_N: log(predicted / measured) where no coefficient is moved. slopes_NC: what the logarithm of each predicted
    step gains with that of each coefficient.
    """
    spread_CN = _variances(prior)[:, None] * slopes_NC.T
    return -spread_CN @ np.linalg.solve(_together(slopes_NC, spread_CN, prior.noise), errors_N)


def narrowing(slopes_C: Array, slopes_NC: Array, prior: Prior) -> float:
    """The spread of the error of a step of these slopes, once the N are known, over its spread before."""
    spread_C = _variances(prior) * slopes_C
    before = slopes_C @ spread_C + prior.doubt**2
    spread_CN = _variances(prior)[:, None] * slopes_NC.T
    known = slopes_NC @ spread_C
    after = before - known @ np.linalg.solve(_together(slopes_NC, spread_CN, prior.doubt), known)
    return float(np.sqrt(after / before))


def _variances(prior: Prior) -> Array:
    return (prior.scale * np.array(list(WIDTHS.values()))) ** 2


def _together(slopes_NC: Array, spread_CN: Array, noise: float) -> Array:
    return slopes_NC @ spread_CN + noise**2 * np.eye(len(slopes_NC))

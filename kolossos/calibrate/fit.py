"""From timings to coefficients: least squares in relative error, with no coefficient below zero."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.kernels.measured import BACKWARD_FLOPS
from kolossos.specs.gpu import AttentionFit, ProductFit

Floats = NDArray[np.float64]
LEAST_POSITIVE = 1e-30


def fit_nonnegative(terms: Floats, seconds: Floats) -> Floats:
    """x >= 0 with the least mean square of (terms @ x / seconds - 1). ``terms`` [cases, few], ``seconds`` [cases] > 0.

    Exact: the optimum is the plain least-squares solution on some subset of the columns, and with few columns all
    subsets are tried.
    """
    relative = terms / seconds[:, None]
    scale = np.maximum(np.abs(relative).max(axis=0), 1e-300)
    scaled, ones = relative / scale, np.ones(len(seconds))
    best, best_error = np.zeros(terms.shape[1]), np.inf
    for size in range(1, terms.shape[1] + 1):
        for columns in map(list, combinations(range(terms.shape[1]), size)):
            solution = np.linalg.lstsq(scaled[:, columns], ones, rcond=None)[0]
            error = float(np.square(scaled[:, columns] @ solution - 1.0).sum())
            if (solution >= 0).all() and error < best_error * (1 - 1e-12):
                best, best_error = np.zeros(terms.shape[1]), error
                best[columns] = solution
    return best / scale


def relative_error(terms: Floats, coefficients: Floats, seconds: Floats) -> float:
    """Mean of |predicted / measured - 1|."""
    return float(np.mean(np.abs(terms @ coefficients / seconds - 1.0)))


def held_out_error(terms: Floats, seconds: Floats) -> float:
    """Mean relative error on each half of the cases (every other one) of a fit to the other half."""
    even = np.arange(len(seconds)) % 2 == 0
    if len(seconds) < 4:
        return relative_error(terms, fit_nonnegative(terms, seconds), seconds)
    errors = [
        relative_error(terms[out], fit_nonnegative(terms[~out], seconds[~out]), seconds[out]) for out in (even, ~even)
    ]
    return float(np.mean(errors))


def fit_products(terms: Floats, seconds: Floats, shares: dict[str, float]) -> ProductFit:
    """``terms`` as `plan.kernels.measured.product_terms` makes them."""
    launch, per_flop, left, right, out = map(float, fit_nonnegative(terms, seconds))
    return ProductFit(
        launch_s=launch,
        rate_flops_per_s=1.0 / max(per_flop, LEAST_POSITIVE),
        left_s=left,
        right_s=right,
        out_s=out,
        held_out_error=held_out_error(terms, seconds),
        n_shapes=len(seconds),
        square_share_of_peak=shares,
    )


def fit_attention(terms: Floats, forward: Floats, backward: Floats) -> AttentionFit:
    """``terms`` as `plan.kernels.measured.attention_terms` makes them; seconds of both passes."""
    ahead, back = fit_nonnegative(terms, forward), fit_nonnegative(terms, backward)
    return AttentionFit(
        launch_s=float(ahead[0]),
        rate_flops_per_s=1.0 / max(float(ahead[1]), LEAST_POSITIVE),
        element_s=float(ahead[2]),
        backward_launch_s=float(back[0]),
        backward_rate_flops_per_s=BACKWARD_FLOPS / max(float(back[1]), LEAST_POSITIVE),
        backward_element_s=float(back[2]),
        held_out_error=(held_out_error(terms, forward) + held_out_error(terms, backward)) / 2,
    )

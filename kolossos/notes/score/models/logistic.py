"""Logistic factorisations stepped by Adam with given constants, full batch, in float64 and a fixed order.

The harassment and diligence models of the official scorer are not solved to their minimum: they stop after some hundred
steps, and the scores are where they stop. So here the same steps are taken, from a start without random parts.

    logit = note factor x rater factor + note bias x rater weight + rater bias + mu
"""

from dataclasses import dataclass, field

import numpy as np

from kolossos.notes.score.compiled import compiled

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def _loss_and_gradient(note, rater, target, weight, parameters, gradients):
    note_factor, note_bias, rater_factor, rater_bias, rater_weight, mu = parameters
    g_note_factor, g_note_bias, g_rater_factor, g_rater_bias, g_rater_weight, g_mu = gradients
    total = 0.0
    scale = 1.0 / len(note)
    for r in range(len(note)):
        n, u = note[r], rater[r]
        z = note_factor[n] * rater_factor[u] + note_bias[n] * rater_weight[u] + rater_bias[u] + mu[0]
        small = np.exp(-abs(z))
        p = 1.0 / (1.0 + small) if z >= 0 else small / (1.0 + small)
        total += weight[r] * (max(z, 0.0) - z * target[r] + np.log1p(small))
        d = weight[r] * (p - target[r]) * scale
        g_note_factor[n] += d * rater_factor[u]
        g_note_bias[n] += d * rater_weight[u]
        g_rater_factor[u] += d * note_factor[n]
        g_rater_bias[u] += d
        g_rater_weight[u] += d * note_bias[n]
        g_mu[0] += d
    return total * scale


_evaluate = compiled(_loss_and_gradient)
NAMES = ("note_factor", "note_bias", "rater_factor", "rater_bias", "rater_weight", "mu")


def sum_of_squares(values: np.ndarray) -> float:
    """The sum of squares in an order that no number of threads changes (a BLAS product would split it)."""
    return float(np.sum(values * values))


@dataclass
class LogisticModel:
    """Parameters by name, each an array; ``ridge`` holds for each the factor of its squared sum in the loss."""

    parameters: dict[str, np.ndarray]
    ridge: dict[str, float] = field(default_factory=dict)
    trained: tuple[str, ...] = NAMES

    def loss(
        self, note_R: np.ndarray, rater_R: np.ndarray, target_R: np.ndarray, weight_R: np.ndarray
    ) -> tuple[float, dict[str, np.ndarray]]:
        """The regularised loss and the gradient of every trained parameter."""
        values = tuple(self.parameters[name] for name in NAMES)
        gradients = tuple(np.zeros_like(value) for value in values)
        loss = float(_evaluate(note_R, rater_R, target_R, weight_R, values, gradients))
        by_name: dict[str, np.ndarray] = dict(zip(NAMES, gradients, strict=True))
        for name, ridge in self.ridge.items():
            loss += ridge * sum_of_squares(self.parameters[name])
            by_name[name] += 2.0 * ridge * self.parameters[name]
        return loss, {name: by_name[name] for name in self.trained}


class Adam:
    """Adam's steps (Kingma and Ba 2015, algorithm 1), optionally with the gradient's norm clipped to 1 first."""

    def __init__(self, rate: float, clip: bool = False) -> None:
        self._rate, self._clip, self._step = rate, clip, 0
        self._first: dict[str, np.ndarray] = {}
        self._second: dict[str, np.ndarray] = {}

    def step(self, parameters: dict[str, np.ndarray], gradients: dict[str, np.ndarray]) -> None:
        """Move ``parameters`` in place."""
        self._step += 1
        scale = 1.0
        if self._clip:
            norm = float(np.sqrt(sum(sum_of_squares(g) for g in gradients.values())))
            scale = min(1.0, 1.0 / (norm + 1e-6))
        for name, gradient in gradients.items():
            gradient = gradient * scale
            first = BETA_1 * self._first.get(name, 0.0) + (1 - BETA_1) * gradient
            second = BETA_2 * self._second.get(name, 0.0) + (1 - BETA_2) * gradient * gradient
            self._first[name], self._second[name] = first, second
            root = np.sqrt(second) / np.sqrt(1 - BETA_2**self._step) + EPSILON
            parameters[name] -= self._rate / (1 - BETA_1**self._step) * first / root

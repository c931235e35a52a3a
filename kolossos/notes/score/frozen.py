"""What prescoring hands to the final round, and how it is carried to a later moment with other notes and people."""

from dataclasses import dataclass, replace

import numpy as np

from kolossos.notes.score.columns import World
from kolossos.notes.score.final_round import RaterParameters
from kolossos.notes.score.models.diligence import DiligenceState


@dataclass(frozen=True)
class Frozen:
    """Rater parameters, tag thresholds and the diligence model's state, indexed as one world's notes and people."""

    raters: RaterParameters
    tag_thresholds: dict[str, float]
    diligence: DiligenceState


def carry(frozen: Frozen, before: World, after: World) -> Frozen:
    """``frozen`` re-indexed from ``before`` to ``after``; whoever is new has no parameters."""
    people = _places(before.participants.id_P, after.participants.id_P)
    notes = _places(before.notes.id_N, after.notes.id_N)

    def moved(values: np.ndarray, places: np.ndarray, nothing: float | bool) -> np.ndarray:
        return np.where(places >= 0, values[places], nothing)

    raters = replace(
        frozen.raters,
        intercept_P=moved(frozen.raters.intercept_P, people, np.nan),
        factor_P=moved(frozen.raters.factor_P, people, np.nan),
        helpful_P=moved(frozen.raters.helpful_P, people, False),
        incorrect_tags_P=moved(frozen.raters.incorrect_tags_P, people, 0.0),
        tagged_ratings_P=moved(frozen.raters.tagged_ratings_P, people, 0.0),
    )
    state = frozen.diligence
    by_rater = ("rater_factor_P", "rater_weight_P", "rater_bias_P", "rater_bias_second_P")
    by_note = ("note_factor_N", "note_bias_N", "note_bias_second_N")
    diligence = replace(
        state,
        **{name: moved(getattr(state, name), people, np.nan) for name in by_rater},
        **{name: moved(getattr(state, name), notes, np.nan) for name in by_note},
    )
    return Frozen(raters, frozen.tag_thresholds, diligence)


def _places(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of ``wanted`` stands in the sorted ``known``; -1 where it does not."""
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, at, -1)

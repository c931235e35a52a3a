"""Prescoring: who may judge, and with which parameters. Everything the final round then takes as given."""

from dataclasses import dataclass

import numpy as np

from kolossos.errors import InputError
from kolossos.notes.score.columns import CRH, Ratings, World
from kolossos.notes.score.evidence import incorrect_habit, tag_totals
from kolossos.notes.score.final_round import RaterParameters
from kolossos.notes.score.frozen import Frozen
from kolossos.notes.score.helpfulness import Helpfulness, harassment_penalty, helpfulness, valid_ratings
from kolossos.notes.score.judge import context_columns, in_model
from kolossos.notes.score.models.diligence import fit_diligence
from kolossos.notes.score.models.factorisation import Fit, Start, fit
from kolossos.notes.score.models.filters import enough_ratings, steady_ratings
from kolossos.notes.score.models.harassment import harassment_scores
from kolossos.notes.score.models.steps import fit_by_steps
from kolossos.notes.score.prepare import FEWEST_NOTES_FOR_MARKS
from kolossos.notes.score.rules import TAG_PERCENTILE, Verdicts, apply_rules, derived, first_round_rules
from kolossos.notes.tables.schema import NOT_HELPFUL_TAGS

LARGEST_FIRST_ERROR = 0.16


@dataclass(frozen=True)
class Prescoring:
    """Both fits, the helpfulness of everyone, and what goes on to the final round."""

    first: Fit
    first_verdicts: Verdicts
    second: Fit
    helpfulness: Helpfulness
    harassment_N: np.ndarray
    frozen: Frozen


def first_fit(world: World, training: Ratings, official_steps: bool = False) -> Fit:
    """The fit on everyone's ratings, begun from the group that steadies the start where there is one."""
    sizes = (len(world.notes), len(world.participants))
    rows = (training.note_R, training.rater_R, training.answer_R)
    steady = steady_ratings(training, len(world.notes), world.participants)
    if not len(steady):
        return fit(*rows, sizes)
    begun = fit(steady.note_R, steady.rater_R, steady.answer_R, sizes)
    if not np.nanmax(np.abs(begun.rater_factor_P)) > 0:
        return fit(*rows, sizes)
    return _from(begun, training, sizes, official_steps)


def _from(begun: Fit, ratings: Ratings, sizes: tuple[int, int], official_steps: bool) -> Fit:
    """A fit on ``ratings`` that begins at an earlier one: to the minimum, or by the official steps."""
    rows = (ratings.note_R, ratings.rater_R, ratings.answer_R)
    if official_steps:
        return fit_by_steps(*rows, sizes, begun)
    return fit(*rows, sizes, Start(begun.mu, begun.rater_intercept_P, begun.rater_factor_P))


def prescore(world: World, official_steps: bool = False) -> Prescoring:
    """Run prescoring.

    Args:
        official_steps: stop both fits where the official optimiser would, instead of at their minimum.

    Raises:
        InputError: too few ratings to fit, nobody above the helpfulness threshold, or a first fit that explains so
        little
            that the official code would stop, too.
    """
    ratings, n_notes, n_people = in_model(world), len(world.notes), len(world.participants)
    training = enough_ratings(ratings, n_notes, n_people)
    if not len(training):
        raise InputError("too few ratings: no note has 5 ratings by raters with 10 ratings each; nothing can be fitted")
    first = first_fit(world, training, official_steps)
    if first.notes >= FEWEST_NOTES_FOR_MARKS and first.mean_squared_error > LARGEST_FIRST_ERROR:
        raise InputError(
            f"the first fit leaves a mean squared error of {first.mean_squared_error:.3f}, more than "
            f"{LARGEST_FIRST_ERROR}: these answers do not follow one spectrum of raters, so no status can be given"
        )
    columns = context_columns(world, ratings)
    columns |= {"intercept": first.note_intercept_N, "factor": first.note_factor_N}
    verdicts = apply_rules(first_round_rules(), derived(columns))
    helpful, harassment_N = _helpfulness(world, ratings, training, first, verdicts)
    kept = training.where(helpful.above_threshold_P[training.rater_R])
    if not len(kept):
        raise InputError("no rater is above the helpfulness threshold; no note can be given a status")
    second = _from(first, kept, (n_notes, n_people), official_steps)
    incorrect, tagged = incorrect_habit(ratings, n_people)
    raters = RaterParameters(
        second.rater_intercept_P,
        second.rater_factor_P,
        helpful.above_threshold_P,
        incorrect,
        tagged,
        second.mu,
        second.ratings_per_note,
    )
    thresholds = tag_thresholds(ratings, second, verdicts)
    diligence = fit_diligence(kept, second.rater_factor_P, n_notes)
    return Prescoring(first, verdicts, second, helpful, harassment_N, Frozen(raters, thresholds, diligence))


def _helpfulness(
    world: World, ratings: Ratings, training: Ratings, first: Fit, verdicts: Verdicts
) -> tuple[Helpfulness, np.ndarray]:
    """Helpfulness without, then with the harassment penalty; and the harassment scores."""
    n_notes, n_people = len(world.notes), len(world.participants)
    valid = valid_ratings(ratings, world.notes, verdicts.status_N)
    none = np.zeros(n_people)
    before = helpfulness(valid, world.notes, verdicts.status_N, first.note_intercept_N, none)
    kept = training.where(before.above_threshold_P[training.rater_R])
    harassment_N = harassment_scores(kept, first, n_notes, n_people)
    penalty = harassment_penalty(training, harassment_N, n_people)
    after = helpfulness(valid, world.notes, verdicts.status_N, first.note_intercept_N, penalty)
    return after, harassment_N


def tag_thresholds(ratings: Ratings, second: Fit, verdicts: Verdicts) -> dict[str, float]:
    """For each not-helpful tag the 95th percentile of weighted shares over notes Helpful in the first round.

    Weights come from the factors of the second fit; the percentile is the 96th of a hundred evenly spaced quantiles.
    """
    counted = ~np.isnan(second.rater_factor_P)
    totals = tag_totals(ratings, second.note_factor_N, second.rater_factor_P, counted)
    helpful = (verdicts.status_N == CRH) & ~np.isnan(second.note_factor_N)
    shares = totals.share_NT[helpful]
    if not len(shares):
        return dict.fromkeys(NOT_HELPFUL_TAGS, 0.0)
    quantile = np.arange(0, 1, 0.01)[TAG_PERCENTILE]
    return {tag: float(np.quantile(shares[:, bit], quantile)) for bit, tag in enumerate(NOT_HELPFUL_TAGS)}

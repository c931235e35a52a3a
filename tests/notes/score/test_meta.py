"""From the core model's answer to what is shown: the stability wait, the lock, explanation tags, sampled raters."""

from dataclasses import replace

import numpy as np
import pytest

from kolossos.notes.score.columns import World
from kolossos.notes.score.meta import explanation_tags, final_statuses, sampled_disagree, stability
from kolossos.notes.score.run import Scoring
from kolossos.notes.tables.schema import HELPFUL_TAGS

CRH, CRNH, NMR, HELP = (
    "CURRENTLY_RATED_HELPFUL",
    "CURRENTLY_RATED_NOT_HELPFUL",
    "NEEDS_MORE_RATINGS",
    "NEEDS_YOUR_HELP",
)
MINUTE = 60_000.0
NEVER = float("nan")


def with_one_note(world: World, current: str, waited: float, first: str = "") -> World:
    """The world with its first note in a given standing; ``waited`` minutes, NaN never, negative: it left before."""
    since = world.notes.waiting_since_N.copy()
    since[0] = waited if np.isnan(waited) else (-1.0 if waited < 0 else world.now - waited * MINUTE)
    status, firsts = world.notes.current_status_N.copy(), world.notes.first_status_N.copy()
    status[0], firsts[0] = current, first
    notes = replace(world.notes, current_status_N=status, first_status_N=firsts, waiting_since_N=since)
    return replace(world, notes=notes)


@pytest.mark.parametrize(
    ("current", "waited", "scored", "first", "shown", "waits"),
    [
        (NMR, NEVER, CRH, "", NMR, "begins"),
        (NMR, NEVER, HELP, "", NMR, "begins"),
        (NMR, NEVER, CRNH, "", CRNH, "never"),
        (NMR, 10.0, CRH, "", NMR, "goes on"),
        (NMR, 31.0, CRH, "", CRH, "left"),
        (NMR, 31.0, CRH, CRH, NMR, "goes on"),
        (NMR, 61.0, CRH, CRH, CRH, "left"),
        (NMR, 61.0, HELP, "", NMR, "goes on"),
        (NMR, 361.0, HELP, "", NMR, "left"),
        (NMR, 10.0, NMR, "", NMR, "left"),
        (NMR, 10.0, CRNH, "", CRNH, "left"),
        (NMR, -1.0, CRH, "", NMR, "begins"),
        (NMR, -1.0, HELP, "", NMR, "left"),
        (CRH, NEVER, CRH, "", CRH, "never"),
        (CRH, NEVER, HELP, "", CRH, "never"),
        (CRH, NEVER, NMR, "", NMR, "never"),
    ],
)
def test_a_note_new_to_helpful_waits_to_be_stable(
    world: World, current: str, waited: float, scored: str, first: str, shown: str, waits: str
) -> None:
    one = with_one_note(world, current, waited, first)
    status = np.full(len(one.notes), NMR, dtype=object)
    status[0] = scored
    after, since = stability(one, status)
    assert after[0] == shown
    expected = {"begins": one.now, "left": -1.0, "goes on": one.now - waited * MINUTE, "never": NEVER}[waits]
    assert since[0] == expected or (np.isnan(since[0]) and np.isnan(expected))


def test_a_flip_predictor_keeps_a_note_waiting(world: World) -> None:
    one = with_one_note(world, NMR, 31.0)
    status = np.full(len(one.notes), NMR, dtype=object)
    status[0] = CRH
    flips = np.zeros(len(one.notes), bool)
    flips[0] = True
    assert stability(one, status, flips)[0][0] == NMR


def test_the_lock_wins_over_the_model_and_a_new_lock_keeps_what_is_shown(scoring: Scoring) -> None:
    world, final = scoring.world, scoring.final
    locked = np.isin(world.notes.locked_status_N, (CRH, CRNH))
    assert locked.any()
    explained = final.second_tag_N != ""
    assert (final.status_N[locked & explained] == world.notes.locked_status_N[locked & explained]).all()
    fresh = world.now - world.notes.created_N <= 14 * 24 * 60 * MINUTE
    assert (final.locked_status_N[fresh] == "").all()
    unlocked = replace(world.notes, locked_status_N=np.full(len(world.notes), "", dtype=object))
    again = final_statuses(replace(world, notes=unlocked), scoring.core)
    assert (again.locked_status_N[~fresh] == again.status_N[~fresh]).all()


def test_two_tags_by_two_raters_each_are_needed_and_ties_go_by_the_fixed_order(world: World) -> None:
    bits = {name: np.uint16(1 << k) for k, name in enumerate(HELPFUL_TAGS)}
    note = int(np.argmax(np.bincount(world.ratings.note_R)))
    rows = np.flatnonzero(world.ratings.note_R == note)
    status = np.full(len(world.notes), NMR, dtype=object)
    status[note] = CRH
    tags = np.zeros(len(world.ratings), np.uint16)
    tags[rows[:2]] = bits["helpfulClear"] | bits["helpfulInformative"]
    first, second = explanation_tags(replace(world.ratings, helpful_tags_R=tags), status)
    assert (first[note], second[note]) == ("helpfulInformative", "helpfulClear")
    tags[rows[0]] = bits["helpfulClear"]
    first, second = explanation_tags(replace(world.ratings, helpful_tags_R=tags), status)
    assert (first[note], second[note]) == ("", "")


def test_sampled_raters_who_disagree_take_helpful_back(scoring: Scoring) -> None:
    note = int(np.flatnonzero(scoring.core.judged_N)[0])
    columns = {name: values.copy() for name, values in scoring.core.columns.items()}
    columns["intercept"][note], columns["interceptPopulationSampled"][note] = 0.5, 0.29
    for side in ("neg", "pos"):
        columns[f"{side}Factor_populationSampledRatingCount"][note] = 4
    assert sampled_disagree(replace(scoring.core, columns=columns))[note]
    columns["negFactor_populationSampledRatingCount"][note] = 1
    columns["posFactor_populationSampledRatingCount"][note] = 9
    assert not sampled_disagree(replace(scoring.core, columns=columns))[note]


def test_every_note_shows_one_of_three_statuses(scoring: Scoring) -> None:
    assert set(scoring.final.status_N) <= {CRH, CRNH, NMR}

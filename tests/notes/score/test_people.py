"""Who is heard: core members, valid ratings, agreement, authors, harassment; and the logistic models behind it."""

from dataclasses import replace

import numpy as np
import pytest

from kolossos.notes.score.columns import CRH, CRNH, NMR, Notes, Participants, Ratings, World
from kolossos.notes.score.helpfulness import harassment_penalty, helpfulness, valid_ratings
from kolossos.notes.score.judge import in_model
from kolossos.notes.score.models.diligence import fit_diligence, score_diligence
from kolossos.notes.score.models.harassment import harassment_scores
from kolossos.notes.score.models.logistic import NAMES, Adam, LogisticModel
from kolossos.notes.score.prepare import core_members, prepare
from kolossos.notes.score.run import Scoring
from kolossos.notes.tables.read import Tables

HOUR = 3_600_000.0
NEW = 1_772_000_000_000.0


def some_ratings(note: list[int], rater: list[int], answer: list[float], created: list[float]) -> Ratings:
    no = np.zeros(len(note), bool)
    bits = np.zeros(len(note), np.uint16)
    return Ratings(
        np.array(note, np.int32), np.array(rater, np.int32), np.array(answer), np.array(created), bits, bits, no, no, no
    )


def some_notes(world: World, created: list[float], latest: list[float], author: list[int]) -> Notes:
    cut = {name: values[: len(created)] for name, values in world.notes.__dict__.items()}
    known = {"created_N": np.array(created), "latest_decision_N": np.array(latest), "author_N": np.array(author)}
    return Notes(**(cut | known))


def test_members_without_a_group_are_out_and_strangers_are_in() -> None:
    people = Participants(
        np.array(["a", "b", "c", "d"]), np.array([13.0, 4.0, np.nan, np.nan]), np.array([True, True, True, False])
    )
    assert core_members(people).tolist() == [True, False, False, True]


def test_valid_ratings_are_early_clear_and_on_decided_notes(world: World) -> None:
    notes = some_notes(world, [NEW, NEW, NEW], [np.nan, NEW + HOUR, np.nan], [-1, -1, -1])
    status = np.array([CRH, CRNH, NMR], dtype=object)
    ratings = some_ratings(
        [0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 1, 0], [1, 0.5, 1, 0, 0, 1],
        [NEW + HOUR, NEW + HOUR, NEW + 48 * HOUR, NEW + HOUR - 1, NEW + HOUR, NEW],
    )  # fmt: skip
    kept = valid_ratings(ratings, notes, status)
    assert list(zip(kept.note_R.tolist(), kept.rater_R.tolist(), strict=True)) == [(0, 0), (1, 0)]


def test_of_old_notes_the_first_five_ratings_count_whenever_they_were_decided(world: World) -> None:
    old = 1_640_000_000_000.0
    notes = some_notes(world, [old], [old + 1], [-1])
    times = [old + k * HOUR for k in (6, 1, 2, 3, 4, 5)]
    ratings = some_ratings([0] * 6, list(range(6)), [1.0] * 6, times)
    kept = valid_ratings(ratings, notes, np.array([CRH], dtype=object))
    assert sorted(kept.rater_R.tolist()) == [1, 2, 3, 4, 5]


def test_agreement_authorship_and_penalty_by_hand(world: World) -> None:
    notes = some_notes(world, [NEW] * 3, [np.nan] * 3, [3, 3, 4])
    status = np.array([CRH, CRNH, CRH], dtype=object)
    intercept = np.array([0.5, -0.2, 0.45])
    valid = some_ratings([0, 1, 2, 0, 1], [0, 0, 0, 1, 1], [1, 0, 0, 1, 1], [NEW] * 5)
    found = helpfulness(valid, notes, status, intercept, np.array([0, 0.5, 0, 0, 0.0]))
    assert found.agree_ratio_P[:2].tolist() == [pytest.approx(2 / 3), 0.5]
    assert found.agree_ratio_after_penalty_P[1] == 0.25
    assert np.isnan(found.agree_ratio_P[2])
    assert found.crh_crnh_difference_P[3] == pytest.approx(0.5 - 5 * 0.5)
    assert found.mean_note_score_P[3] == pytest.approx(0.15)
    assert found.crh_crnh_difference_P[4] == 1.0
    assert found.above_threshold_P.tolist() == [True, False, False, False, False]
    counts = [found.successful_helpful_P[0], found.successful_not_helpful_P[0], found.unsuccessful_helpful_P[0]]
    assert counts == [1, 1, 1]


def test_helpful_on_a_harassing_note_costs_ten_ratings_and_more() -> None:
    ratings = some_ratings([0, 1, 0], [0, 0, 1], [1.0, 1.0, 0.5], [NEW] * 3)
    assert harassment_penalty(ratings, np.array([3.0, 1.9]), 2).tolist() == [15.0, 0.0]


def test_gradients_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(3)
    sizes = {"note_factor": 4, "note_bias": 4, "rater_factor": 3, "rater_bias": 3, "rater_weight": 3, "mu": 1}
    values = {name: rng.normal(size=size) for name, size in sizes.items()}
    model = LogisticModel(values, ridge={"note_factor": 0.1, "rater_bias": 0.2, "mu": 0.3})
    rows = (rng.integers(0, 4, 9).astype(np.int32), rng.integers(0, 3, 9).astype(np.int32))
    rest = ((rng.random(9) < 0.5).astype(float), rng.random(9) + 0.5)
    _, gradient = model.loss(*rows, *rest)
    for name in NAMES:
        for k in range(sizes[name]):
            values[name][k] += 1e-6
            above = model.loss(*rows, *rest)[0]
            values[name][k] -= 2e-6
            below = model.loss(*rows, *rest)[0]
            values[name][k] += 1e-6
            assert gradient[name][k] == pytest.approx((above - below) / 2e-6, abs=1e-7)


def test_adam_takes_the_steps_of_its_paper() -> None:
    value = {"x": np.array([1.0])}
    adam = Adam(0.1)
    first = second = 0.0
    x = 1.0
    for t, g in enumerate((0.5, -2.0, 0.25), 1):
        adam.step(value, {"x": np.array([g])})
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        x -= 0.1 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        assert value["x"][0] == pytest.approx(x, abs=1e-12)
    clipped = {"x": np.array([0.0, 0.0])}
    Adam(0.1, clip=True).step(clipped, {"x": np.array([30.0, -40.0])})
    assert clipped["x"] == pytest.approx([-0.1, 0.1], abs=1e-6)


def test_abusive_notes_score_high_on_harassment(world: World, scoring: Scoring) -> None:
    abused = int(np.argmax(np.bincount(world.ratings.note_R, minlength=len(world.notes))))
    ratings = in_model(world)
    bits = ratings.not_helpful_tags_R.copy()
    on_it = ratings.note_R == abused
    bits[on_it] |= np.uint16(1 << 9)
    loud = replace(ratings, not_helpful_tags_R=bits)
    scores = harassment_scores(loud, scoring.prescoring.first, len(world.notes), len(world.participants))
    assert scores[abused] == np.nanmax(scores)
    assert scores[abused] >= 2
    silent = replace(ratings, not_helpful_tags_R=np.zeros(len(ratings), np.uint16))
    nothing = harassment_scores(silent, scoring.prescoring.first, len(world.notes), len(world.participants))
    assert np.isnan(nothing).all()


def test_notes_with_poor_sources_score_high_on_low_diligence(world: World, scoring: Scoring) -> None:
    poor = int(np.argmax(np.bincount(world.ratings.note_R, minlength=len(world.notes))))
    ratings = in_model(world)
    bits = ratings.not_helpful_tags_R.copy()
    bits[ratings.note_R == poor] |= np.uint16(1 << 2)
    told = replace(ratings, not_helpful_tags_R=bits)
    factors = scoring.prescoring.first.rater_factor_P
    state = fit_diligence(told, factors, len(world.notes))
    scores = score_diligence(told, state, world.notes.id_N)
    before = score_diligence(ratings, fit_diligence(ratings, factors, len(world.notes)), world.notes.id_N)
    assert scores[poor] > before[poor]
    assert scores[poor] > np.nanquantile(scores, 0.9)


def test_a_cluster_speaks_once_a_note_and_never_on_its_own(tables: Tables) -> None:
    import polars as pl

    plain = prepare(tables)
    busiest = np.argsort(-np.bincount(plain.ratings.rater_R, minlength=len(plain.participants)))[:4]
    ids = [str(plain.participants.id_P[k]) for k in busiest]
    clusters = pl.DataFrame(
        {"raterParticipantId": ids, "postSelectionValue": [1.0] * 4, "quasiCliqueValue": [1.0, None, None, None]}
    )
    linked = prepare(replace(tables, clusters=clusters))
    members = np.isin(linked.ratings.rater_R, busiest)
    per_note = np.bincount(linked.ratings.note_R[members], minlength=len(linked.notes))
    assert per_note.max() == 1
    authored = np.isin(linked.notes.author_N, busiest) & linked.notes.listed_N
    assert not per_note[authored].any()
    assert linked.ratings.correlated_R.any()
    assert set(linked.ratings.rater_R[linked.ratings.correlated_R].tolist()) == {int(busiest[0])}
    assert linked.dropped["of a linked rater after the first"] > 0
    note = int(np.flatnonzero(per_note)[0])
    before = plain.ratings.where((plain.ratings.note_R == note) & np.isin(plain.ratings.rater_R, busiest))
    after = linked.ratings.where((linked.ratings.note_R == note) & np.isin(linked.ratings.rater_R, busiest))
    assert after.created_R[0] == before.created_R.min()

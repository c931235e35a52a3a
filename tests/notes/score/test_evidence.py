"""What the rules look at, counted once more in plain loops."""

import numpy as np
import pytest

from kolossos.notes.score.columns import World
from kolossos.notes.score.evidence import incorrect_score, sides, tag_totals
from kolossos.notes.score.final_round import final_ratings
from kolossos.notes.score.judge import in_model
from kolossos.notes.score.run import Scoring
from kolossos.notes.tables.schema import NOT_HELPFUL_TAGS


@pytest.fixture(scope="module")
def counted(world: World, scoring: Scoring) -> np.ndarray:
    mask = np.zeros(len(world.participants), bool)
    mask[final_ratings(in_model(world), len(world.notes), scoring.prescoring.frozen.raters).rater_R] = True
    return mask


def some_notes(world: World) -> np.ndarray:
    return np.argsort(-np.bincount(world.ratings.note_R, minlength=len(world.notes)))[::12]


def test_sides_by_the_sign_of_the_rater(world: World, scoring: Scoring, counted: np.ndarray) -> None:
    ratings, factor = in_model(world), scoring.prescoring.frozen.raters.factor_P
    found = sides(ratings, len(world.notes), factor, counted)
    for note in some_notes(world):
        answers: dict[bool, list[float]] = {True: [], False: []}
        for n, u, y in zip(ratings.note_R, ratings.rater_R, ratings.answer_R, strict=True):
            if n == note and counted[u]:
                answers[bool(factor[u] < 0)].append(float(y))
        net = max(min(a.count(1.0) - a.count(0.0) for a in answers.values()), 0)
        total = sum(len(a) for a in answers.values())
        assert found.fewest_raters_N[note] == min(len(a) for a in answers.values())
        assert found.net_helpful_N[note] == net
        assert found.net_helpful_share_N[note] == pytest.approx(net / max(total, 1), rel=1e-6)
        if answers[True]:
            assert found.negative_mean_N[note] == pytest.approx(np.mean(answers[True]), rel=1e-6)


def test_tags_weigh_by_distance_of_standardised_factors(world: World, scoring: Scoring, counted: np.ndarray) -> None:
    ratings, raters, notes = in_model(world), scoring.prescoring.frozen.raters, scoring.core.notes
    found = tag_totals(ratings, notes.factor_N, raters.factor_P, counted)
    scored = ~np.isnan(notes.factor_N)
    z_note = (notes.factor_N - notes.factor_N[scored].mean()) / notes.factor_N[scored].std()
    z_rater = (raters.factor_P - raters.factor_P[counted].mean()) / raters.factor_P[counted].std()
    rows = [
        (n, abs(z_rater[u] - z_note[n]), bits)
        for n, u, bits in zip(ratings.note_R, ratings.rater_R, ratings.not_helpful_tags_R, strict=True)
        if scored[n] and counted[u]
    ]
    p40 = np.percentile([d for _, d, _ in rows], 40)
    for note in some_notes(world)[:8]:
        weights = [(1 / (1 + (d / p40) ** 5), int(bits)) for n, d, bits in rows if n == note]
        if weights:
            assert found.weight_N[note] == pytest.approx(sum(w for w, _ in weights))
            for bit in range(len(NOT_HELPFUL_TAGS)):
                total = sum(w for w, bits in weights if bits >> bit & 1)
                assert found.total_NT[note, bit] == pytest.approx(total)
                assert found.share_NT[note, bit] == pytest.approx(total / found.weight_N[note])


def test_the_incorrect_score_counts_raters_near_the_note(world: World, scoring: Scoring, counted: np.ndarray) -> None:
    ratings, raters, notes = in_model(world), scoring.prescoring.frozen.raters, scoring.core.notes
    found = incorrect_score(ratings, notes, raters, counted)
    checked = 0
    for note in some_notes(world):
        near = [
            (u, int(bits))
            for n, u, bits in zip(ratings.note_R, ratings.rater_R, ratings.not_helpful_tags_R, strict=True)
            if n == note
            and bits
            and counted[u]
            and abs(np.clip(raters.factor_P[u], -0.4, 0.4) - np.clip(notes.factor_N[n], -0.4, 0.4)) < 0.3
        ]
        if not near:
            assert np.isnan(found.score_N[note])
            continue
        said = sum(bits >> 1 & 1 for _, bits in near)
        habit = sum(raters.incorrect_tags_P[u] / raters.tagged_ratings_P[u] for u, _ in near)
        assert (found.tags_N[note], found.raters_N[note]) == (said, len(near))
        if habit:
            assert found.score_N[note] == pytest.approx(said / np.log(1 + habit))
            checked += 1
    assert checked

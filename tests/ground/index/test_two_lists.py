"""The order out of two lists does not depend on how a model's cosines are scaled, and says what it is made of."""

import random

import pytest

from kolossos.ground.fusion import LEXICAL_WEIGHT, SPREAD, fuse


def made(seed: int) -> tuple[dict[int, float], dict[int, float], tuple[list[int], list[int]]]:
    random_ = random.Random(seed)
    lexical = {n: random_.uniform(0.1, 20) for n in random_.sample(range(60), 20)}
    cosines = {n: random_.uniform(-0.2, 0.9) for n in random_.sample(range(60), 40)}
    return lexical, cosines, (sorted(lexical, key=lambda n: -lexical[n]), sorted(cosines, key=lambda n: -cosines[n]))


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_squeezes_its_cosines_orders_as_one_that_does_not(seed: int) -> None:
    lexical, cosines, ranked = made(seed)
    squeezed = {number: 0.75 + 0.25 * cosine for number, cosine in cosines.items()}
    plain = fuse(lexical, cosines, ranked, (0.04, SPREAD))
    other = fuse(lexical, squeezed, ranked, (0.75 + 0.25 * 0.04, 0.25 * SPREAD))
    assert [found.passage for found in plain] == [found.passage for found in other]
    assert [found.score for found in plain] == pytest.approx([found.score for found in other])


def test_a_score_is_the_sum_that_the_docs_say() -> None:
    lexical, cosines, ranked = made(9)
    best = max(lexical.values())
    for found in fuse(lexical, cosines, ranked):
        words, cosine = lexical.get(found.passage, 0), cosines.get(found.passage, 0)
        assert found.score == pytest.approx(LEXICAL_WEIGHT * words / best + (1 - LEXICAL_WEIGHT) * cosine)
        if found.lexical_rank:
            assert ranked[0][found.lexical_rank - 1] == found.passage


def test_without_vectors_the_order_is_that_of_the_words() -> None:
    lexical, _, ranked = made(3)
    found = fuse(lexical, {}, (ranked[0], []))
    assert [each.passage for each in found] == ranked[0]
    assert found[0].score == pytest.approx(1)

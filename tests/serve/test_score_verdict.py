"""What `kolossos eval` says in words about its figures."""

import math

import pytest

from kolossos.cli.show.score import verdict
from kolossos.serve.score import Score, Trained
from kolossos.train.lifecycle.outcome import Evaluation

COMPRESSORS = {"gzip -9": 1.655, "xz -9": 1.399}


def scored(bits: float, trained: Trained | None = None) -> Score:
    return Score(Evaluation(bits * math.log(2) * 1000, 400, 1000), COMPRESSORS, trained)


@pytest.mark.parametrize(
    ("bits", "says"),
    [
        (1.2, "the model needs fewer bits than gzip -9 and xz -9"),
        (1.5, "the model needs fewer bits than gzip -9, and more than xz -9"),
        (1.9, "the model needs more bits than gzip -9 and xz -9: it has trained too little for that"),
    ],
)
def test_what_was_reached_is_said_in_words(bits: float, says: str) -> None:
    assert verdict(scored(bits)) == says


def test_a_machine_that_was_too_slow_hears_so() -> None:
    text = verdict(scored(1.9, Trained(tokens=240_000, seconds=300.0)))
    assert "This machine was too slow" in text
    assert "240,000 tokens in 5.0 minutes, 800 tokens/s" in text

"""`kolossos serve --bench`: every request is accounted for, and what cannot be asked is refused."""

import pytest
import specs
from test_networks import random_model

from kolossos.errors import InputError
from kolossos.serve.bench import Load, measure
from kolossos.serve.engine.build import EngineOptions, engine_of


def test_every_request_is_answered_or_refused_and_counted() -> None:
    engine = engine_of(random_model(specs.ALL[1]), EngineOptions(threads=1, most_at_once=2, most_waiting=3))
    seen: list[tuple[int, int]] = []
    made = measure(engine, Load(requests=30, rate=1e6, prompt_tokens=20, new_tokens=5), lambda *at: seen.append(at))
    assert made.answered + made.refused + made.failed == 30
    assert made.refused > 0
    assert made.failed == 0
    assert made.tokens_per_s == pytest.approx(made.answered * 5 / made.seconds)
    assert made.busiest <= 2
    assert seen[-1][1] == 30
    assert set(made.to_json()["first_token_s"]) == {"p50", "p95", "p99"}
    assert f"answered {made.answered}, refused {made.refused}" in made.to_text()
    with pytest.raises(InputError, match="exceeds the context of 256"):
        measure(engine, Load(prompt_tokens=250, new_tokens=10))
    engine.close()


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"requests": 0}, {"prompt_tokens": 0}, {"new_tokens": -1}])
def test_a_load_out_of_range_is_refused_by_name(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong)).split("_")[0]):
        Load(**wrong)

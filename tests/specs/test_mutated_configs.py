"""No key of a config.json changes a network in silence: one key changed or added, against transformers' own network."""

import pytest
from mutations import Changed, changed, default_config, network_size

from kolossos.errors import InputError
from kolossos.specs.counts import count_parameters
from kolossos.specs.huggingface import spec_from_config

NEARLY = 2e-3
"""Of a network's parameters: below it, a difference is no mispricing."""


def silent(case: Changed) -> str:
    """What is wrong with the answer to a changed file, in a line; empty if nothing."""
    before = default_config(case.family)
    assert before is not None
    try:
        theirs = network_size(case.family, case.config) - network_size(case.family, before)
    except Exception:  # transformers cannot build it either
        return ""
    usual = spec_from_config(before, "x")
    try:
        spec = spec_from_config(case.config, "x")
    except InputError:
        return ""
    ours = count_parameters(spec).total - count_parameters(usual).total
    near = abs(ours - theirs) <= NEARLY * max(count_parameters(spec).total, count_parameters(usual).total)
    named = any(case.key in said for said in set(spec.not_priced) - set(usual.not_priced))
    if near or named or ours != 0:  # a class may not take in a key that others do: then the answer shows it
        return ""
    return f"{case.family}: {case.key} = {case.value}: {theirs:+,} parameters there, none here, and nothing said"


@pytest.mark.parametrize("number", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_a_key_that_changes_the_network_changes_the_answer_or_is_named(number: int) -> None:
    pytest.importorskip("transformers")
    assert [said for case in changed(number, seed=number) if (said := silent(case))] == []


@pytest.mark.slow
def test_most_answers_are_right_to_the_parameter() -> None:
    """The same with nothing forgiven: at least nine of ten changed files are counted as transformers builds them."""
    pytest.importorskip("transformers")
    right = built = 0
    for case in changed(200, seed=7):
        try:
            theirs = network_size(case.family, case.config)
        except Exception:
            continue
        try:
            right += abs(count_parameters(spec_from_config(case.config, "x")).total / theirs - 1) < NEARLY
        except InputError:
            right += 1  # refused: not a wrong number
        built += 1
    assert built > 150
    assert right >= 0.9 * built

"""First values: whoever makes a part of them makes the same."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import ALL, grok_2_like

from kolossos.model.decoder import Decoder
from kolossos.model.init import PIECE, initial_std, initialize, normal_values
from kolossos.specs.model import ModelSpec


def whole(shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in shape)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.data())
def test_a_part_along_any_dims_has_the_bits_of_the_whole(sizes: list[int], data: st.DataObject) -> None:
    cuts = [sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2))) for n in sizes]
    part = tuple(slice(*cut) for cut in cuts)
    shape = tuple(sizes)
    everything = normal_values(5, "layers.1.moe.experts.up", shape, whole(shape))
    assert np.array_equal(normal_values(5, "layers.1.moe.experts.up", shape, part), everything[part])


def test_large_parts_are_made_in_pieces_with_the_same_bits() -> None:
    shape = (3, PIECE + 7)
    everything = normal_values(1, "a", shape, whole(shape))
    assert np.array_equal(normal_values(1, "a", shape, (slice(1, 3), slice(0, PIECE + 7))), everything[1:])
    assert np.array_equal(normal_values(1, "a", shape, (slice(0, 3), slice(11, PIECE + 5))), everything[:, 11:-2])


def test_values_are_normal_and_rows_and_names_know_nothing_of_each_other() -> None:
    shape = (500, 2000)
    values = normal_values(0, "x", shape, whole(shape)).astype(np.float64)
    n = values.size
    assert abs(values.mean()) < 4 / n**0.5
    assert values.std() == pytest.approx(1.0, abs=4 / (2 * n) ** 0.5)
    assert (values**3).mean() == pytest.approx(0.0, abs=4 * (15 / n) ** 0.5)
    assert (values**4).mean() == pytest.approx(3.0, abs=4 * (96 / n) ** 0.5)
    inside = np.mean(np.abs(values) < 1.0)
    assert inside == pytest.approx(0.6827, abs=4 * (0.6827 * 0.3173 / n) ** 0.5)
    for rows in (values, values[:, :500].T):  # each with each other one, then columns
        correlations = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
        assert np.abs(correlations).max() < 6 / rows.shape[1] ** 0.5
        assert correlations.std() == pytest.approx(rows.shape[1] ** -0.5, rel=0.05)
    other_name = normal_values(0, "y", shape, whole(shape))
    other_seed = normal_values(1, "x", shape, whole(shape))
    for other in (other_name, other_seed):
        assert abs(np.corrcoef(values.ravel(), other.ravel())[0, 1]) < 4 / n**0.5


def test_values_are_fixed_for_good() -> None:
    """Runs of today start from the weights of yesterday, on any machine: these were drawn on 2026-11-26."""
    values = normal_values(3, "layers.0.attention.query.weight", (4, 8), whole((4, 8)))
    assert values[0, :3].tolist() == [-0.5292966365814209, -1.4681240320205688, -0.507726788520813]
    assert values[3, -3:].tolist() == [-1.1203052997589111, -0.03548292815685272, -0.8782054781913757]


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_every_weight_has_its_deviation(spec: ModelSpec) -> None:
    wide = spec.model_copy(update={"dim": 128, "vocab_size": 500})
    model = initialize(Decoder(wide), 2)
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            expected = initial_std(wide, name, parameter)
            assert parameter.std().item() == pytest.approx(expected, rel=5 / (2 * parameter.numel()) ** 0.5), name
            assert abs(parameter.mean().item()) < 5 * expected / parameter.numel() ** 0.5, name
        else:
            assert (parameter == parameter.flatten()[0]).all()


def test_a_model_that_was_on_the_meta_device_starts_the_same() -> None:
    with torch.device("meta"):
        model = Decoder(grok_2_like())
    later = initialize(model.to_empty(device="cpu"), 4)
    at_once = initialize(Decoder(grok_2_like()), 4)
    assert all(torch.equal(a, b) for a, b in zip(later.parameters(), at_once.parameters(), strict=True))

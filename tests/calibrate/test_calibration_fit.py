"""The fits find the coefficients that made the timings."""

import numpy as np
import pytest
import synthetic_calibration as synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from kolossos.calibrate.file import hardware
from kolossos.calibrate.fit import fit_nonnegative
from kolossos.calibrate.products import ladder
from kolossos.plan.kernels.measured import (
    attention_terms,
    measured_attention_seconds,
    measured_product_seconds,
    product_terms,
)


def test_known_coefficients_of_products_come_back() -> None:
    fit = synthetic.products("bf16").fit()
    found = [fit.launch_s, 1 / fit.rate_flops_per_s, fit.left_s, fit.right_s, fit.out_s]
    np.testing.assert_allclose(found, synthetic.PRODUCT, rtol=1e-6)
    assert fit.held_out_error < 1e-6


def test_noise_of_ten_percent_leaves_shapes_never_seen_within_eight() -> None:
    fit = synthetic.products("bf16", noise=0.1).fit()
    m, n, k = np.array([[384, 1152, 700, 6000], [4000, 96, 900, 64], [256, 3072, 5000, 1000]])
    coefficients = [fit.launch_s, 1 / fit.rate_flops_per_s, fit.left_s, fit.right_s, fit.out_s]
    ratio = (product_terms(m, n, k) @ coefficients) / (product_terms(m, n, k) @ synthetic.PRODUCT)
    assert np.abs(ratio - 1).max() < 0.08
    assert 0.05 < fit.held_out_error < 0.12  # the stated error is the noise, neither less nor much more


def test_known_coefficients_of_attention_come_back() -> None:
    gpu = hardware(synthetic.calibration(), "this", "2.x")
    sizes = (3, 768, 768, 6, 6, 64)
    terms = attention_terms(*sizes)
    forward = measured_attention_seconds(gpu, "bf16", *sizes)
    assert forward == pytest.approx(float(terms @ synthetic.ATTENTION))
    backward = measured_attention_seconds(gpu, "bf16", *sizes, backward=True)
    assert backward == pytest.approx(float(terms @ synthetic.ATTENTION_BACK))


def test_a_product_is_never_faster_than_the_best_rate_measured() -> None:
    gpu = hardware(synthetic.calibration(), "this", "2.x")
    seconds = measured_product_seconds(gpu, "bf16", 8192, 8192, 8192, batch=4)
    assert 4 * 2.0 * 8192**3 / seconds <= gpu.peak("bf16")


@pytest.mark.parametrize("ranks", [2, 8])
def test_latency_and_bandwidth_of_collectives_come_back(ranks: int) -> None:
    fits = synthetic.collectives(ranks).fits()
    assert [fit.kind for fit in fits] == ["all-reduce", "all-gather", "all-to-all"]
    for fit in fits:
        assert fit.latency_s == pytest.approx(synthetic.LATENCY_S)
        assert fit.bandwidth_bytes_per_s == pytest.approx(synthetic.BANDWIDTH)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 10.0), min_size=3, max_size=3), st.integers(0, 1000))
def test_a_fit_is_never_negative_and_never_worse_than_the_truth(truth: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    terms = random.uniform(0.1, 1.0, (12, 3))
    seconds = (terms @ np.array(truth) + 0.01) * np.exp(0.2 * random.standard_normal(12))
    found = fit_nonnegative(terms, seconds)
    assert (found >= 0).all()
    error = np.square(terms @ found / seconds - 1).sum()
    assert error <= np.square(terms @ np.array(truth) / seconds - 1).sum() + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.floats(1e6, 1e13), st.sampled_from([1024, 8192, 16384]))
def test_the_ladder_keeps_to_its_limits(most_flops: float, largest: int) -> None:
    shapes = ladder(most_flops, largest)
    assert shapes == ladder(most_flops, largest)
    assert len(set(shapes)) == len(shapes)
    assert all(2.0 * m * n * k <= most_flops and max(m, n, k) <= largest for m, n, k in shapes)

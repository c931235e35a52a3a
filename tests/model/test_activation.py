"""The formulas that compiled code uses against torch's kernels."""

import pytest
import torch

from kolossos.model.activation import activation, activation_backward


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_compiled_formula_and_its_derivative_are_torchs(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.linspace(-20, 20, 4001, dtype=dtype)
    grad = torch.cos(x)
    expected = activation("gelu_tanh")(x), activation_backward("gelu_tanh")(grad, x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    formulas = activation("gelu_tanh")(x), activation_backward("gelu_tanh")(grad, x)
    torch.testing.assert_close(formulas, expected, atol=2e-6, rtol=2e-6)

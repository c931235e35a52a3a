"""The chunked loss against torch's cross-entropy on whole logits."""

import pytest
import torch
import torch.nn.functional as F

from kolossos.model import loss
from kolossos.model.loss import chunk_loss, linear_cross_entropy
from kolossos.specs.tokens import IGNORED_TARGET


@pytest.mark.parametrize("softcap", [None, 5.0])
def test_loss_and_gradients_equal_torchs_cross_entropy(softcap: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK_BYTES", {"cpu": 8 * 50 * 64})  # several chunks of 64 tokens
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 50, (150,), generator=generator)
    targets[::7] = IGNORED_TARGET
    losses, grads = [], []
    for chunked in (True, False):
        generator.manual_seed(1)
        hidden = torch.randn(150, 12, dtype=torch.float64, generator=generator, requires_grad=True)
        weight = torch.randn(50, 12, dtype=torch.float64, generator=generator, requires_grad=True)
        if chunked:
            value = linear_cross_entropy(hidden, weight, targets, 0.7, softcap, chunk_loss)
        else:
            logits = hidden @ weight.t() * 0.7
            logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
            value = F.cross_entropy(logits, targets, ignore_index=IGNORED_TARGET, reduction="sum")
        (value * 0.3).backward()
        losses.append(value)
        grads.append([hidden.grad, weight.grad])
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*grads)
    with torch.no_grad():
        torch.testing.assert_close(linear_cross_entropy(hidden, weight, targets, 0.7, softcap, chunk_loss), losses[0])

"""The optimizers against torch's, used plainly."""

from itertools import pairwise

import pytest
import torch
from specs import grok_1_like, llama_like

from kolossos.model.decoder import Decoder
from kolossos.model.init import initialize
from kolossos.specs.run import OptimizerSpec, ScheduleSpec
from kolossos.train.muon import NEWTON_SCHULZ_STEPS, orthogonalized
from kolossos.train.optimizer import Optimizer
from kolossos.train.schedule import lr_factor


def with_gradients(model: Decoder) -> Decoder:
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.grad = 1e-3 * torch.randn(parameter.shape, generator=generator)
    return model


def test_adamw_steps_are_torchs() -> None:
    ours, plain = (initialize(Decoder(llama_like()), 0) for _ in range(2))
    optimizer = Optimizer(ours, OptimizerSpec(name="adamw", lr=0.01, weight_decay=0.0, clip_norm=1e9))
    reference = torch.optim.AdamW(plain.parameters(), lr=0.005, betas=(0.9, 0.95), weight_decay=0.0)
    for _ in range(3):
        with_gradients(ours)
        optimizer.step(0.5)
        with_gradients(plain)
        reference.step()
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())


def test_muon_moves_each_expert_as_a_matrix_of_its_own() -> None:
    model = with_gradients(initialize(Decoder(grok_1_like()), 0))
    up = model.layers[0].moe.experts.up
    alone = [torch.nn.Parameter(up[e].detach().clone()) for e in range(up.shape[0])]
    for parameter, gradient in zip(alone, up.grad, strict=True):
        parameter.grad = gradient.clone()
    spec = OptimizerSpec(name="muon", muon_lr=0.02, momentum=0.9, clip_norm=1e9)
    Optimizer(model, spec, products=torch.bfloat16).step(1.0)
    torch.optim.Muon(alone, lr=0.02, momentum=0.9, weight_decay=0.1, ns_steps=NEWTON_SCHULZ_STEPS).step()
    torch.testing.assert_close(up.detach(), torch.stack(list(alone)).detach(), atol=0.02 * 0.01, rtol=0)


@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (3, 24, 40), (2, 40, 24)])
@pytest.mark.parametrize("products", [torch.bfloat16, torch.float32])
def test_muons_update_is_nearly_orthogonal(shape: tuple[int, ...], products: torch.dtype) -> None:
    random = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalized(random, products, 5).float())
    assert values.min() > 0.4
    assert values.max() < 1.4


def test_gradients_are_clipped_by_their_whole_norm() -> None:
    model = with_gradients(initialize(Decoder(llama_like()), 0))
    expected = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    norm = Optimizer(model, OptimizerSpec(clip_norm=0.5 * expected.item())).step(1.0)
    torch.testing.assert_close(norm, expected)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", ["adamw", "muon"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_can_leave_everything_as_it_was(name: str, value: float) -> None:
    model = with_gradients(initialize(Decoder(grok_1_like()), 0))
    optimizer = Optimizer(model, OptimizerSpec(name=name))
    optimizer.step(1.0)
    before = {key: x.clone() for key, x in (model.state_dict() | optimizer.state()).items()}
    with_gradients(model).layers[1].attention.key.weight.grad[0, 0] = value
    norm = optimizer.step(1.0, torch.isfinite)
    assert not norm.isfinite()
    assert all(torch.equal(before[key], x) for key, x in (model.state_dict() | optimizer.state()).items())
    assert all(p.grad is None for p in model.parameters())
    with_gradients(model).layers[1].attention.key.weight.grad[0, 0] = value
    optimizer.step(1.0)
    assert not all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_finite_step_has_the_same_bits_whether_or_not_others_would_be_skipped(name: str) -> None:
    models = [initialize(Decoder(grok_1_like()), 0) for _ in range(2)]
    for model, skip in zip(models, (False, True), strict=True):
        optimizer = Optimizer(model, OptimizerSpec(name=name))
        for _ in range(3):
            with_gradients(model)
            optimizer.step(1.0, torch.isfinite if skip else None)
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))


@pytest.mark.parametrize("kind", ["cosine", "wsd"])
def test_learning_rate_warms_up_stays_within_one_and_ends_low(kind: str) -> None:
    schedule = ScheduleSpec(steps=100, warmup_steps=10, kind=kind, decay_fraction=0.3, final_fraction=0.1)
    factors = [lr_factor(schedule, step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert all(a >= b for a, b in pairwise(factors[9:]))
    assert factors[-1] == pytest.approx(0.1, abs=0.04)
    if kind == "wsd":
        assert factors[69] == 1.0
        assert factors[71] < 1.0

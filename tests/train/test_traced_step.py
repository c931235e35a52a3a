"""The real training step under fake tensors: no numbers, every product."""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from kolossos.model.decoder import Decoder
from kolossos.specs.catalogue import load_model
from kolossos.specs.counts import attention_flops_per_token, count_parameters
from kolossos.specs.model import ModelSpec
from kolossos.specs.run import LossSpec, OptimizerSpec
from kolossos.train.muon import NEWTON_SCHULZ_STEPS
from kolossos.train.optimizer import Optimizer
from kolossos.train.step import MicroBatch, train_step

BATCH, LENGTH, PASSES = 2, 64, 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
@pytest.mark.parametrize("optimizer_name", ["adamw", "muon"])
@pytest.mark.parametrize("model_name", ["grok-nano", "tiny-dense"])
def test_step_without_data_counts_the_products_of_the_closed_form(
    model_name: str, optimizer_name: str, dtype: torch.dtype
) -> None:
    with FakeTensorMode():
        model = Decoder(load_model(model_name)).train()
        optimizer = Optimizer(model, OptimizerSpec(name=optimizer_name))  # type: ignore[arg-type]
        tokens = torch.zeros(BATCH, LENGTH, dtype=torch.long)
        documents = torch.zeros(BATCH, LENGTH, dtype=torch.int32)  # without them a dense model takes torch's attention
        with FlopCounterMode(display=False) as counter:
            for _ in range(2):
                result = train_step(
                    model,
                    optimizer,
                    [MicroBatch(tokens, tokens, documents)] * PASSES,
                    n_targets=PASSES * BATCH * LENGTH,
                    losses=LossSpec(),
                    dtype=dtype,
                    lr_factor=1.0,
                    skip_if_not_finite=True,
                )
        assert result.loss.shape == result.grad_norm.shape == ()
    # forward, twice that in backward, and the attention's logits once more, for backward does not keep them
    spec = model.spec
    products = 6 * count_parameters(spec).matmul_active
    attention = 3.5 * attention_flops_per_token(spec, LENGTH, causal=False)  # so short a sequence is one square
    expected = PASSES * BATCH * LENGTH * (products + attention)
    if optimizer_name == "muon":
        expected += muon_flops(spec)
    assert counter.get_total_flops() == 2 * expected


def muon_flops(spec: ModelSpec) -> int:
    """Three products an iteration for each hidden matrix, on its shorter side."""
    d, heads = spec.dim, spec.head_dim
    shapes = [(d, spec.n_heads * heads)] * 2 + [(d, spec.n_kv_heads * heads)] * 2
    shapes += [(d, spec.ffn_dim)] * 3 if spec.ffn_dim else []
    shapes += [(d, spec.moe.expert_dim)] * 3 * spec.moe.n_experts if spec.moe else []
    sides = [sorted(shape) for shape in shapes]
    return spec.n_layers * NEWTON_SCHULZ_STEPS * sum(2 * a * a * b * 2 + 2 * a**3 for a, b in sides)

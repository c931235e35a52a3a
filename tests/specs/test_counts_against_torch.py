"""The closed forms of `kolossos.specs.counts` against the network of the same spec on the meta device.

FLOPs are those that torch counts in forward and backward (FlopCounterMode: matrix products, 2 per multiply-add). Two
passes are held against the closed form:
- attention with an explicit mask multiplies every query with every key, so it is the *full* count, and exact;
- the training pass is causal in chunks of queries, and computes the logits once more in backward.
"""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kolossos.errors import InputError
from kolossos.model.buildable import obstacles
from kolossos.model.decoder import Decoder
from kolossos.specs.catalogue import load_model, model_names
from kolossos.specs.counts import attention_flops_per_token, count_parameters, training_flops_per_token

BUILDABLE = [name for name in model_names() if not obstacles(load_model(name))]
NAMED = ["grok-1", "grok-2", "llama-3.1-405b", "mixtral-8x7b"]
BATCH, LENGTH = 2, 64


def on_meta(name: str, n_layers: int | None = None) -> tuple[Decoder, torch.Tensor]:
    spec = load_model(name)
    with torch.device("meta"):
        model = Decoder(spec.model_copy(update={"n_layers": n_layers or spec.n_layers}))
        return model, torch.zeros(BATCH, LENGTH, dtype=torch.long)


@pytest.mark.parametrize("name", BUILDABLE)
def test_parameters_are_those_of_the_network(name: str) -> None:
    model, _ = on_meta(name)
    count = count_parameters(model.spec)
    sizes = {key: p.numel() for key, p in model.named_parameters()}
    assert sum(sizes.values()) == count.total
    assert sum(size for key, size in sizes.items() if "norm" in key) == count.norms
    assert sum(size for key, size in sizes.items() if ".attention." in key) == count.attention
    assert sum(size for key, size in sizes.items() if ".mlp." in key) == count.dense_mlp
    routed = sum(size for key, size in sizes.items() if ".moe." in key)
    assert routed == count.experts + count.router


@pytest.mark.parametrize("name", BUILDABLE)
def test_flops_of_forward_and_backward_are_exact(name: str) -> None:
    assert_flops_are_exact(name, n_layers=2)  # the count is a sum over equal layers


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_flops_of_all_layers_are_exact(name: str) -> None:
    assert_flops_are_exact(name)


def assert_flops_are_exact(name: str, n_layers: int | None = None) -> None:
    model, tokens = on_meta(name, n_layers)
    allowed = torch.ones(BATCH, LENGTH, LENGTH, dtype=torch.bool, device="meta")
    with FlopCounterMode(display=False) as counter:
        hidden, _ = model(tokens, dtype=torch.bfloat16, allowed_BST=allowed)
        model.loss(hidden, tokens).backward()
    spec = model.spec
    per_token = 6 * count_parameters(spec).matmul_active + 3 * attention_flops_per_token(spec, LENGTH, causal=False)
    assert counter.get_total_flops() == BATCH * LENGTH * per_token


@pytest.mark.parametrize("name", NAMED)
def test_flops_of_the_training_pass_are_the_causal_ones(name: str) -> None:
    model, tokens = on_meta(name, 2)
    with FlopCounterMode(display=False) as counter:
        hidden, _ = model(tokens, dtype=torch.bfloat16)
        model.loss(hidden, tokens).backward()
    counted = counter.get_total_flops() / tokens.numel()
    # 0.2 %: here one chunk of queries is computed whole where half of it counts, and its logits twice
    assert counted == pytest.approx(training_flops_per_token(model.spec, LENGTH), rel=2e-3)


@pytest.mark.parametrize(
    ("name", "feature"),
    [
        ("deepseek-v3-671b", "latent attention"),
        ("deepseek-v3-671b", "shared experts"),
        ("deepseek-v3-671b", "first_dense_layers"),
        ("llama4-maverick-400b", "moe.every"),
        ("gpt3-175b", "gated_mlp"),
    ],
)
def test_what_the_network_cannot_build_is_refused_by_feature(name: str, feature: str) -> None:
    with pytest.raises(InputError, match=feature) as caught:
        Decoder(load_model(name))
    assert "\n" not in str(caught.value)

"""The whole decoder: counts, the meta device, recompute, initial values, documents."""

from collections.abc import Callable

import pytest
import torch
from specs import ALL, grok_1_like

from kolossos.model.attention.layer import AttentionContext
from kolossos.model.attention.rotary import rotary_tables
from kolossos.model.decoder import Decoder
from kolossos.model.init import initialize
from kolossos.specs.model import ModelSpec


def gradients(model: Decoder, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    hidden, _ = model(tokens[:, :-1])
    model.loss(hidden, tokens[:, 1:]).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_recompute_gives_the_same_gradients(spec: ModelSpec) -> None:
    model = initialize(Decoder(spec), 0).train()
    tokens = torch.randint(0, spec.vocab_size, (2, 41), generator=torch.Generator().manual_seed(0))
    plain = gradients(model, tokens)
    for mode in ("selective", "full"):
        model.set_recompute(mode)
        torch.testing.assert_close(gradients(model, tokens), plain, rtol=0, atol=0)


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_a_document_is_read_as_if_it_stood_alone(spec: ModelSpec) -> None:
    if spec.attn_temperature_len:
        spec = spec.model_copy(update={"attn_temperature_len": None})  # that one depends on the absolute position
    model = initialize(Decoder(spec), 0)
    tokens = torch.randint(0, spec.vocab_size, (1, 60), generator=torch.Generator().manual_seed(0))
    documents = (torch.arange(60) >= 25).int()[None]
    together, _ = model(tokens, document_BS=documents)
    alone, _ = model(tokens[:, 25:])
    torch.testing.assert_close(together[:, 25:], alone, atol=2e-5, rtol=1e-4)


def test_weights_are_a_function_of_seed_and_name() -> None:
    spec = grok_1_like()
    shallow = initialize(Decoder(spec.model_copy(update={"n_layers": 1})), 3).state_dict()
    deep = initialize(Decoder(spec), 3).state_dict()
    other = initialize(Decoder(spec), 4).state_dict()
    for name in ("embedding.weight", "layers.0.attention.query.weight", "layers.0.moe.experts.up"):
        assert torch.equal(shallow[name], deep[name])
        assert not torch.equal(deep[name], other[name])


def test_an_untrained_model_is_about_as_wrong_as_guessing() -> None:
    for spec in ALL:
        model = initialize(Decoder(spec), 0)
        tokens = torch.randint(0, spec.vocab_size, (4, 65), generator=torch.Generator().manual_seed(0))
        hidden, _ = model(tokens[:, :-1])
        nats = model.loss(hidden, tokens[:, 1:]).item() / 256
        assert nats == pytest.approx(torch.tensor(float(spec.vocab_size)).log().item(), abs=0.6)


@pytest.mark.parametrize("batch", [1, 4, 8])
def test_compiled_attention_in_bf16_is_as_near_to_fp32_as_the_plain_one(batch: int) -> None:
    """Once torch 2.13's compiler made NaN of a different but equal way to write the attention, at some batch sizes."""
    spec = grok_1_like().model_copy(update={"dim": 64, "head_dim": 16})
    attention = initialize(Decoder(spec), 0).train().layers[0].attention
    context = AttentionContext(rotary=rotary_tables(spec, torch.arange(128)[None]))
    generator = torch.Generator().manual_seed(0)
    inputs, upstream = (torch.randn(batch, 128, 64, generator=generator) for _ in range(2))

    def results(forward: Callable[..., torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
        attention.zero_grad()
        x = inputs.detach().clone().to(dtype).requires_grad_()
        out = forward(x, context)
        out.backward(upstream.to(dtype))
        return [tensor.detach().float() for tensor in (out, x.grad, *(p.grad for p in attention.parameters()))]

    exact = results(attention, torch.float32)
    plain = results(attention, torch.bfloat16)
    compiled = results(torch.compile(attention, dynamic=False), torch.bfloat16)
    for right, by_plain, by_compiled in zip(exact, plain, compiled, strict=True):
        assert (by_compiled - right).norm() < 1.5 * (by_plain - right).norm()

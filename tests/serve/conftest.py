import pytest

from kolossos.data.tokenizer import Tokenizer
from kolossos.model.decoder import Decoder
from kolossos.model.init import initialize
from kolossos.specs.model import ModelSpec, MoESpec

TEXT = "the quick brown fox jumps over the lazy dog; a journey of a thousand miles begins with a single step. "


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([TEXT] * 20, vocab_size=300)


def grok_like(vocab_size: int) -> ModelSpec:
    """Experts, soft caps, attention temperature, post norms: everything at once, small."""
    return ModelSpec(
        name="grok-like",
        n_layers=2,
        dim=32,
        n_heads=4,
        n_kv_heads=2,
        head_dim=8,
        vocab_size=vocab_size,
        max_seq_len=300,
        ffn_dim=48,
        branch_scale=2**-0.5,
        moe=MoESpec(n_experts=4, top_k=2, expert_dim=24, router_softcap=30.0),
        activation="gelu_tanh",
        post_norm=True,
        attn_softcap=30.0,
        attn_temperature_len=16,
        embedding_multiplier=5.6,
        output_softcap=50.0,
    )


@pytest.fixture(scope="session")
def model(tokenizer: Tokenizer) -> Decoder:
    """Branches that outweigh the embedding and sharp attention, so that every token of a prompt matters."""
    made = initialize(Decoder(grok_like(tokenizer.vocab_size)), seed=1).eval().requires_grad_(False)
    for name, parameter in made.named_parameters():
        parameter.mul_(6.0 if "post_norm" in name else 1.0 if "norm" in name else 3.0)
    return made

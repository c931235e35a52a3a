"""Small models for the tests of the Hugging Face layouts."""

import torch

from kolossos.model.decoder import Decoder
from kolossos.model.init import initialize
from kolossos.specs.model import ModelSpec, MoESpec, RopeScaling

TOKENS = torch.randint(0, 96, (2, 24), generator=torch.Generator().manual_seed(5))
SIZES = {"n_layers": 2, "dim": 64, "n_heads": 4, "n_kv_heads": 2, "head_dim": 16, "vocab_size": 96, "max_seq_len": 64}
STRETCHED = RopeScaling(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_seq_len=16)
DENSE = ModelSpec(name="dense", **SIZES, ffn_dim=96, rope_theta=50_000.0)
MIXTURE = ModelSpec(name="mixture", **SIZES, moe=MoESpec(n_experts=4, top_k=2, expert_dim=40, renormalize=True))
GROK_1 = ModelSpec(
    name="grok-1",
    **SIZES,
    moe=MoESpec(n_experts=4, top_k=2, expert_dim=40),
    activation="gelu_tanh",
    post_norm=True,
    attn_softcap=30.0,
    tied_embeddings=True,
    embedding_multiplier=8.0,
    output_multiplier=0.5773502691896257,
)
GROK_2 = ModelSpec(
    name="grok-2",
    **SIZES,
    ffn_dim=96,
    branch_scale=2**-0.5,
    moe=MoESpec(n_experts=4, top_k=2, expert_dim=40, router_softcap=30.0),
    activation="gelu_tanh",
    post_norm=True,
    attn_softcap=30.0,
    attn_temperature_len=8,
    embedding_multiplier=8.0,
    output_multiplier=0.5,
    output_softcap=50.0,
    rope_theta=208_533_496.0,
)
OURS = {
    "llama": DENSE,
    "llama tied": DENSE.model_copy(update={"tied_embeddings": True}),
    "llama 3.1": DENSE.model_copy(update={"rope_scaling": STRETCHED}),
    "llama, wide heads": DENSE.model_copy(update={"head_dim": 24}),
    "mixtral": MIXTURE,
    "mixtral, stretched": MIXTURE.model_copy(update={"rope_scaling": STRETCHED}),
}


def model_of(spec: ModelSpec) -> Decoder:
    return initialize(Decoder(spec), seed=3).eval()


@torch.no_grad()
def logits_of(model: Decoder) -> torch.Tensor:
    return model.logits(model(TOKENS)[0])

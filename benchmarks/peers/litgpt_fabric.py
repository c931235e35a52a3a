"""LitGPT's GPT and loss, in the step of litgpt/pretrain.py (Lightning Fabric, one device).

Its `pretrain` command stops at a mixture of experts: it counts FLOPs on the meta device, where LLaMAMoE's `torch.where`
has no result. The step itself runs, so it is written out here as it stands there, without that count and the logs.
"""

# pyright: reportMissingImports=false
# (litgpt and lightning live in .bench-venv alone)

import lightning
import numpy as np
import torch
from litgpt.config import Config
from litgpt.model import GPT
from litgpt.utils import chunked_cross_entropy, instantiate_torch_optimizer

from .contest import RECIPE, Shape
from .rows import Row
from .stopwatch import Stopwatch

PRECISION = {"fp32": "32-true", "autocast": "bf16-mixed", "bf16": "bf16-true"}


def train(row: Row, shape: Shape, batches: np.ndarray, stopwatch: Stopwatch) -> dict:
    fabric = lightning.Fabric(accelerator="cpu", devices=1, precision=PRECISION[row.precision])
    fabric.seed_everything(RECIPE.seed, verbose=False)
    with fabric.init_module():
        model = GPT(config_of(shape))
    model.apply(model._init_weights)  # std 0.02 like the others; `pretrain` starts wider, and so lower in loss
    model = fabric.setup(torch.compile(model) if row.compile else model)
    options = {"lr": RECIPE.learning_rate, "betas": RECIPE.betas, "weight_decay": RECIPE.weight_decay}
    optimizer = fabric.setup_optimizers(instantiate_torch_optimizer("AdamW", model.parameters(), **options))

    losses = []
    for batch in stopwatch.timed(batches):
        tokens = torch.from_numpy(batch)
        logits = model(tokens[:, :-1].contiguous())
        loss = chunked_cross_entropy(logits, tokens[:, 1:].contiguous())
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=RECIPE.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return {"parameters": sum(p.numel() for p in model.parameters()), "mean_loss": sum(losses) / len(losses)}


def config_of(shape: Shape) -> Config:
    experts = {
        "mlp_class_name": "LLaMAMoE",
        "n_expert": shape.n_experts,
        "n_expert_per_token": shape.experts_per_token,
        "moe_intermediate_size": shape.ffn_dim,
    }
    return Config(
        name="tiny",
        block_size=shape.seq_len,
        n_layer=shape.n_layers,
        n_embd=shape.dim,
        n_head=shape.n_heads,
        n_query_groups=shape.n_kv_heads,
        head_size=shape.head_dim,
        intermediate_size=shape.ffn_dim,
        padded_vocab_size=shape.vocab_size,
        rotary_percentage=1.0,
        rope_base=int(shape.rope_theta),
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        norm_eps=shape.norm_eps,
        **(experts if shape.n_experts else {"mlp_class_name": "LLaMAMLP"}),
    )

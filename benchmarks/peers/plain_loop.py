"""The plain PyTorch loop: forward, loss, backward, clip, step, with the fused AdamW. The bar for every framework."""

from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F

from .contest import RECIPE, Shape
from .plain_decoder import PlainDecoder
from .rows import Row
from .stopwatch import Stopwatch


def train(row: Row, shape: Shape, batches: np.ndarray, stopwatch: Stopwatch) -> dict:
    torch.manual_seed(RECIPE.seed)
    model = PlainDecoder(shape, row.experts)
    if row.precision == "bf16":
        model.to(torch.bfloat16)
    optimizer = torch.optim.AdamW(
        model.parameters(), RECIPE.learning_rate, RECIPE.betas, weight_decay=RECIPE.weight_decay, fused=True
    )

    def loss_of(tokens_BS: torch.Tensor) -> torch.Tensor:
        logits_BSV = model(tokens_BS[:, :-1])
        return F.cross_entropy(logits_BSV.flatten(0, 1).float(), tokens_BS[:, 1:].flatten())

    compute_loss = torch.compile(loss_of) if row.compile else loss_of
    losses = []
    for batch in stopwatch.timed(batches):
        with torch.autocast("cpu", torch.bfloat16) if row.precision == "autocast" else nullcontext():
            loss = compute_loss(torch.from_numpy(batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return {"parameters": sum(p.numel() for p in model.parameters()), "mean_loss": sum(losses) / len(losses)}

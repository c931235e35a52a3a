"""Kolossos' own training step, set up as `kolossos train` sets it up; weights start as those of the others."""

import numpy as np

from kolossos.train.waiting import choose_waiting, free_threads

BUSY_CORES = choose_waiting()  # before torch is loaded, as the command line does

import torch  # noqa: E402

from kolossos.model.decoder import Decoder  # noqa: E402
from kolossos.specs.catalogue import load_model  # noqa: E402
from kolossos.specs.run import LossSpec, OptimizerSpec  # noqa: E402
from kolossos.train.compiling import compile_training  # noqa: E402
from kolossos.train.optimizer import Optimizer  # noqa: E402
from kolossos.train.precision import compute_dtype  # noqa: E402
from kolossos.train.step import MicroBatch, train_step  # noqa: E402

from .contest import RECIPE, Shape  # noqa: E402
from .rows import Row  # noqa: E402
from .stopwatch import Stopwatch  # noqa: E402


def train(row: Row, shape: Shape, batches: np.ndarray, stopwatch: Stopwatch) -> dict:
    torch.set_num_threads(free_threads(torch.get_num_threads(), BUSY_CORES))
    model = initial_model(row, shape)
    compile_training(model, "on" if row.compile else "off", torch.device("cpu"))
    optimizer = Optimizer(
        model,
        OptimizerSpec(
            lr=RECIPE.learning_rate,
            beta1=RECIPE.betas[0],
            beta2=RECIPE.betas[1],
            weight_decay=RECIPE.weight_decay,
            clip_norm=RECIPE.max_grad_norm,
        ),
    )
    dtype = compute_dtype(row.precision)
    losses = []
    for batch in stopwatch.timed(batches):
        tokens = torch.from_numpy(batch)
        micro_batch = MicroBatch(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
        n_targets = micro_batch.targets_BS.numel()
        result = train_step(
            model, optimizer, [micro_batch], n_targets=n_targets, losses=LossSpec(), dtype=dtype, lr_factor=1.0
        )
        losses.append(result.loss.item())
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "mean_loss": sum(losses) / len(losses),
        "threads_used": torch.get_num_threads(),  # fewer than asked for where other programs hold a core
    }


def initial_model(row: Row, shape: Shape) -> Decoder:
    torch.manual_seed(RECIPE.seed)
    with torch.device("meta"):
        model = Decoder(load_model(f"tiny-{row.model}"))
    model = model.to_empty(device="cpu").train()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=shape.init_std)
            else:
                parameter.fill_(1.0)
    return model

"""Hugging Face Trainer on LlamaConfig or MixtralConfig: its own loop, timed by a callback; no logs, no checkpoints."""

import tempfile
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MixtralConfig,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from .contest import RECIPE, Shape
from .rows import Row
from .stopwatch import Stopwatch

EXPERTS_IMPLEMENTATION = {"loop": "eager", "grouped": "grouped_mm"}


def train(row: Row, shape: Shape, batches: np.ndarray, stopwatch: Stopwatch) -> dict:
    torch.manual_seed(RECIPE.seed)
    model = model_of(row, shape)
    # The model shifts the labels itself, so a row is seq_len tokens and its last one has no target.
    rows = [{"input_ids": tokens, "labels": tokens} for tokens in batches[:, :, :-1].reshape(-1, shape.seq_len)]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=training_arguments(row, folder, n_steps=len(batches)),
            train_dataset=rows,  # type: ignore[arg-type]
            callbacks=[Laps(stopwatch)],
        )
        result = trainer.train()
    return {"parameters": model.num_parameters(), "mean_loss": result.training_loss}


def model_of(row: Row, shape: Shape) -> PreTrainedModel:
    widths: dict[str, Any] = {
        "hidden_size": shape.dim,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "num_key_value_heads": shape.n_kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.ffn_dim,
        "vocab_size": shape.vocab_size,
        "max_position_embeddings": shape.seq_len,
        "rms_norm_eps": shape.norm_eps,
        "initializer_range": shape.init_std,
        "tie_word_embeddings": False,
        "use_cache": False,
    }
    if not shape.n_experts:
        config = LlamaConfig(**widths)
    else:
        widths["num_local_experts"] = shape.n_experts
        widths["num_experts_per_tok"] = shape.experts_per_token
        widths["experts_implementation"] = EXPERTS_IMPLEMENTATION[row.experts]
        config = MixtralConfig(**widths)
    dtype = torch.bfloat16 if row.precision == "bf16" else torch.float32
    return AutoModelForCausalLM.from_config(config, dtype=dtype)


def training_arguments(row: Row, folder: str, n_steps: int) -> TrainingArguments:
    return TrainingArguments(
        folder,
        max_steps=n_steps,
        per_device_train_batch_size=RECIPE.batch_size,
        learning_rate=RECIPE.learning_rate,
        lr_scheduler_type="constant",
        adam_beta1=RECIPE.betas[0],
        adam_beta2=RECIPE.betas[1],
        weight_decay=RECIPE.weight_decay,
        max_grad_norm=RECIPE.max_grad_norm,
        train_sampling_strategy="sequential",
        bf16=row.precision == "autocast",
        torch_compile=row.compile,
        use_cpu=True,
        seed=RECIPE.seed,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


class Laps(TrainerCallback):
    def __init__(self, stopwatch: Stopwatch):
        self.stopwatch = stopwatch

    def on_step_end(self, *_, **__) -> None:
        self.stopwatch.lap()

"""Scoring a model on held-out text from the command line."""

import json as json_format
from pathlib import Path

import torch
import typer
from rich.console import Console
from rich.progress import Progress

from kolossos.data.compressors import compressor_bits_per_byte
from kolossos.data.corpus.batches import validation_batches
from kolossos.data.corpus.corpus import Corpus
from kolossos.errors import InputError
from kolossos.model.huggingface_config import CONFIG_FILE
from kolossos.serve.load import load_for_generation
from kolossos.train.environment import compute_dtype
from kolossos.train.evaluate import Evaluation, evaluate, token_bytes
from kolossos.train.run_folder import RunFolder


def run_evaluation(
    model_path: Path,
    data: Path | None,
    step: int | None,
    seq_len: int | None,
    batch_size: int,
    precision: str,
    json: bool,
) -> None:
    """See `kolossos.cli.evaluate.evaluate`."""
    if precision not in ("bf16", "fp32"):
        raise InputError(f"--precision {precision}: expected bf16 or fp32")
    run = None if (model_path / CONFIG_FILE).is_file() else RunFolder.open(model_path)
    if data is None and run is None:
        raise InputError("--data is missing: a model folder does not say on which text to score it")
    model, tokenizer = load_for_generation(model_path, step)
    corpus = Corpus.open(data or run.spec.data.path, tokenizer)  # type: ignore[union-attr]
    length = seq_len or (run.spec.layout.seq_len if run else min(1024, model.spec.max_seq_len))
    if length > model.spec.max_seq_len:
        raise InputError(f"--seq-len {length} exceeds the model's max_seq_len = {model.spec.max_seq_len}")
    split = corpus.split("validation")
    documents = run.spec.data.mask_documents if run else True
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("validate", total=split.n_tokens)
        result = evaluate(
            model,
            validation_batches(split, length, batch_size, documents),
            token_bytes(tokenizer),
            compute_dtype(precision),
            torch.device("cpu"),
            lambda tokens: progress.update(task, completed=tokens),
        )
    _print(result, compressor_bits_per_byte(corpus.validation_text_path), json)


def _print(result: Evaluation, compressors: dict[str, float], json: bool) -> None:
    if json:
        values = {"validation_loss": result.loss, "bits_per_byte": result.bits_per_byte, "tokens": result.tokens}
        typer.echo(json_format.dumps({**values, "bytes": result.n_bytes, "compressors_bits_per_byte": compressors}))
        return
    typer.echo(f"{result.loss:.4f} nats/token on {result.tokens:,} held-out tokens ({result.n_bytes:,} bytes)")
    typer.echo(f"{result.bits_per_byte:.3f} bits/byte")
    for name, bits in compressors.items():
        typer.echo(f"{bits:.3f} bits/byte: {name} on the same bytes")

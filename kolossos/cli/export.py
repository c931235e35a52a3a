"""``kolossos export``: a trained model for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Layout(StrEnum):
    hf = "hf"


class Dtype(StrEnum):
    bfloat16 = "bfloat16"
    float32 = "float32"


def export(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option(help="Folder to make.", show_default=False)],
    to: Annotated[Layout, typer.Option(help="hf: config.json and safetensors, for vLLM and SGLang.")] = Layout.hf,
    dtype: Annotated[Dtype, typer.Option(help="Of the weights written.")] = Dtype.bfloat16,
    step: Annotated[int | None, typer.Option(help="Checkpoint of the run.", show_default="newest")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> None:
    """Write a model as a folder in the Hugging Face layout."""
    from kolossos.model.huggingface import export_huggingface
    from kolossos.model.huggingface.layouts import server_notes
    from kolossos.runs.folder import RunFolder
    from kolossos.serve.load import load_model

    folder = RunFolder.open(run)
    model = load_model(folder, step, say=lambda line: typer.echo(line, err=True))
    export_huggingface(model, out, folder.files.tokenizer, dtype.value, overwrite)
    typer.echo(f"{out} is ready", err=True)
    for note in server_notes(model.spec):
        typer.echo(f"note: {note}", err=True)

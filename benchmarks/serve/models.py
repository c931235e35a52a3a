"""The models of the contest as Hugging Face folders that every engine reads: random weights, a tokenizer.

    python benchmarks/serve/models.py FOLDER [--models dense,moe] [--check]

Written by Kolossos' own export in fp32, the same bits from the same seed. --check: the logits of Kolossos and of
transformers are within 1e-4 of each other; exit code 1 if they are not.
"""

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from contest import CONTEXT, SEED, SHAPES, Shape, prompts
from rich.console import Console

from kolossos.data.tokenizer import Tokenizer
from kolossos.specs.model import ModelSpec, MoESpec

TEXT_BYTES = 24_000_000
TOLERANCE = 1e-4


def main(
    folder: Annotated[Path, typer.Argument(help="where the folders of the models go")],
    models: Annotated[str, typer.Option(help="comma-separated")] = ",".join(SHAPES),
    check: Annotated[bool, typer.Option("--check", help="compare the logits with those of transformers")] = False,
) -> None:
    """Make the models that are not there yet."""
    console = Console(stderr=True)
    worst = 0.0
    for name in models.split(","):
        path = model_folder(folder, name)
        console.print(f"{path}: {SHAPES[name].parameters / 1e6:.1f} M parameters", highlight=False)
        if check:
            difference = greatest_difference(path, SHAPES[name])
            console.print(f"  greatest difference of a logit from transformers: {difference:.1e}", highlight=False)
            worst = max(worst, difference)
    raise typer.Exit(code=worst > TOLERANCE)


def model_folder(folder: Path, name: str) -> Path:
    """The folder of a model, made if it is not there."""
    path = folder / name
    if not (path / "config.json").is_file():
        make(path, name, SHAPES[name])
    return path


def make(path: Path, name: str, shape: Shape) -> None:
    from kolossos.model.decoder import Decoder
    from kolossos.model.huggingface import export_huggingface
    from kolossos.model.init import initialize

    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = path.parent / f"tokenizer-{shape.vocab_size}" / "tokenizer.json"
    if not tokenizer.is_file():
        tokenizer.parent.mkdir(exist_ok=True)
        Tokenizer.train(library_texts(TEXT_BYTES), shape.vocab_size).save(tokenizer)
    export_huggingface(initialize(Decoder(spec_of(name, shape)), SEED), path, tokenizer, dtype="float32")


def spec_of(name: str, shape: Shape) -> ModelSpec:
    return ModelSpec(
        name=name,
        n_layers=shape.n_layers,
        dim=shape.dim,
        n_heads=shape.n_heads,
        n_kv_heads=shape.n_kv_heads,
        head_dim=shape.head_dim,
        vocab_size=shape.vocab_size,
        max_seq_len=CONTEXT,
        ffn_dim=None if shape.n_experts else shape.ffn_dim,
        moe=experts_of(shape) if shape.n_experts else None,
        rope_theta=shape.rope_theta,
        norm_eps=shape.norm_eps,
    )


def experts_of(shape: Shape) -> MoESpec:
    """Mixtral's: the chosen gates sum to one."""
    return MoESpec(n_experts=shape.n_experts, top_k=shape.experts_per_token, expert_dim=shape.ffn_dim, renormalize=True)


def library_texts(most: int) -> Iterator[str]:
    """The files of Python's standard library, about ``most`` characters of them."""
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" in file.parts:
            continue
        text = file.read_text(encoding="utf-8", errors="ignore")
        most -= len(text)
        if most < 0:
            return
        yield text


def greatest_difference(path: Path, shape: Shape) -> float:
    """Over the logits of two prompts."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import torch
    from transformers import AutoModelForCausalLM

    from kolossos.serve.load import load_weights

    tokens = torch.tensor(prompts(shape, 2, 96, purpose=9))
    ours, _ = load_weights(path, None, lambda _: None)
    theirs = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        hidden, _ = ours(tokens)
        return (ours.logits(hidden) - theirs(tokens).logits).abs().max().item()


if __name__ == "__main__":
    typer.run(main)

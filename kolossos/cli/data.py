"""``kolossos data``: make and look at training data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import TaskID

    from kolossos.data.manifest import Manifest

app = typer.Typer(no_args_is_help=True, help="Make and look at training data.")


@app.command()
def prepare(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders of text or code, .txt, .md, .jsonl(.gz, .zst), .parquet, an X archive (.zip); "
            "default: python-stdlib, the standard library of this Python.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to make.")] = Path("data"),
    text_key: Annotated[str, typer.Option(help="Key (.jsonl) or column (.parquet) that holds the text.")] = "text",
    tokenizer: Annotated[str, typer.Option(help="'train', or a tokenizer.json or the folder of one.")] = "train",
    vocab_size: Annotated[int, typer.Option(help="Tokens of the tokenizer to train.")] = 4096,
    val_fraction: Annotated[float, typer.Option(help="Share of the documents held out for validation.")] = 0.02,
    near_dedup: Annotated[bool, typer.Option(help="Drop near duplicates too, not only exact ones.")] = True,
    near_threshold: Annotated[float, typer.Option(help="Similarity from which documents are near duplicates.")] = 0.8,
    min_chars: Annotated[int, typer.Option(help="Drop shorter documents.")] = 20,
    seed: Annotated[int, typer.Option(help="Chooses the documents held out.")] = 0,
    shard_tokens: Annotated[int, typer.Option(help="Tokens that close a shard.")] = 100_000_000,
    limit_bytes: Annotated[
        int | None, typer.Option(help="Use at most this much text: the first documents.", show_default="all")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read and clean.", show_default="one a core")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace data prepared otherwise.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Turn text into token shards: clean, drop duplicates, hold out validation, tokenize. Can be interrupted."""
    from kolossos.data.options import PrepareOptions
    from kolossos.data.prepare import prepare as run

    options = PrepareOptions(
        text_key=text_key,
        tokenizer=tokenizer,
        vocab_size=vocab_size,
        val_fraction=val_fraction,
        near_threshold=near_threshold if near_dedup else None,
        min_chars=min_chars,
        seed=seed,
        shard_tokens=shard_tokens,
        limit_bytes=limit_bytes,
    )
    with _ProgressBars() as bars:
        made = run(sources or [], out, options, workers=workers, overwrite=overwrite, progress=bars.show)
    typer.echo(f"{out} {'is complete already, nothing to do' if made.was_complete else 'is ready'}", err=True)
    _print_manifest(made.manifest, json)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="Folder made by 'kolossos data prepare'.", show_default=False)],
    verify: Annotated[bool, typer.Option("--verify", help="Compare every file with its hash in the manifest.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Show what a prepared folder holds and what it was made from."""
    from kolossos.data.corpus import Corpus

    corpus = Corpus.open(folder)
    if verify:
        corpus.verify()
        typer.echo(f"{folder}: every file is as the manifest says", err=True)
    _print_manifest(corpus.manifest, json)


def _print_manifest(manifest: "Manifest", json: bool) -> None:
    """The manifest as JSON on stdout, or as tables on stdout."""
    if json:
        typer.echo(manifest.json_text(), nl=False)
        return
    from rich.console import Console
    from rich.table import Table

    splits = Table("split", "documents", "tokens", "bytes", "bytes/token", "shards")
    for name, split in manifest.splits.items():
        ratio = f"{split.bytes / split.tokens:.2f}" if split.tokens else "-"
        counts = (split.documents, split.tokens, split.bytes)
        splits.add_row(name, *(f"{count:,}" for count in counts), ratio, str(len(split.shards)))
    sources = Table("source", "files", "bytes", "documents", "sha256")
    for source in manifest.sources:
        counts = (source.files, source.bytes, source.documents)
        sources.add_row(source.argument, *(f"{count:,}" for count in counts), source.sha256[:12])
    dropped = ", ".join(f"{reason} {count:,}" for reason, count in manifest.dropped.items()) or "nothing"
    console = Console()
    console.print(splits, sources)
    console.print(f"dropped: {dropped}")
    console.print(f"tokenizer: {manifest.tokenizer.vocab_size:,} tokens, sha256 {manifest.tokenizer.sha256[:12]}")


class _ProgressBars:
    """One bar a stage on stderr."""

    def __enter__(self) -> "_ProgressBars":
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task_of_stage: dict[str, TaskID] = {}
        self._progress.start()
        return self

    def show(self, stage: str, done: int, total: int) -> None:
        if stage not in self._task_of_stage:
            self._task_of_stage[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._task_of_stage[stage], completed=done)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

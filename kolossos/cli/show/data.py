"""Prepared data on the screen: what it holds, and how far its making is."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import TaskID

    from kolossos.data.corpus.manifest import Manifest


def print_manifest(manifest: "Manifest", json: bool) -> None:
    """The manifest as JSON on stdout, or as tables on stdout."""
    if json:
        typer.echo(manifest.json_text(), nl=False)
        return
    from rich.table import Table

    from kolossos.cli.show.text import table_console

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
    console = table_console()
    console.print(splits, sources)
    console.print(f"dropped: {dropped}")
    if manifest.options.mask:
        masked = ", ".join(f"{kind} {count:,}" for kind, count in manifest.masked.items()) or "nothing"
        console.print(f"masked: {masked}")
    for source in manifest.sources:
        if source.first_bad_line:
            console.print(f"first bad line of {source.argument}: {source.first_bad_line}", markup=False)
        if source.not_read:
            counts = ", ".join(f"{ending} {count:,}" for ending, count in source.not_read.items())
            console.print(f"not read of {source.argument}: {counts}", markup=False)
    console.print(f"tokenizer: {manifest.tokenizer.vocab_size:,} tokens, sha256 {manifest.tokenizer.sha256[:12]}")


class ProgressBars:
    """One bar a stage on stderr."""

    def __enter__(self) -> "ProgressBars":
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

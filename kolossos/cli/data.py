"""``kolossos data``: make and look at training data."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from kolossos.cli.show.data import ProgressBars, print_manifest
from kolossos.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Make and look at training data.")


@app.command()
def prepare(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders or files: text and code (.txt, .md, ...), .jsonl, .json, .csv, .tsv (also .gz, .bz2, .xz, "
            ".zst), .parquet, .ipynb, WET, dumps of Reddit, an X archive (.zip or unpacked); "
            "default: python-stdlib, the standard library of this Python.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[str, typer.Option(help="Folder to make, or a URL such as s3://BUCKET/FOLDER.")] = "data",
    text_key: Annotated[
        list[str] | None,
        typer.Option(
            help="Key (JSON) or column (tables) that holds the text; dots lead into objects (content.text). May be "
            "repeated, with SOURCE=KEY for the key of one source.",
            show_default="text",
        ),
    ] = None,
    tokenizer: Annotated[str, typer.Option(help="'train', or a tokenizer.json or the folder of one.")] = "train",
    end_token: Annotated[
        str | None,
        typer.Option(help="Token of a given tokenizer that ends a document.", show_default="the one it names"),
    ] = None,
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
    bad_lines: Annotated[
        str, typer.Option(help="A line that cannot be read: 'refuse' its source, or 'skip' and count it.")
    ] = "refuse",
    mask: Annotated[
        str,
        typer.Option(
            help="Replace personal data: any of emails,phones,cards,ibans,ips (needs: pip install 'kolossos[mask]').",
            show_default="nothing",
        ),
    ] = "",
    community_posts: Annotated[
        bool, typer.Option("--community-posts", help="Of an X archive also read posts in communities.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read and clean.", show_default="one a core")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace data prepared otherwise.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Turn text into token shards: clean, drop duplicates, hold out validation, tokenize. Can be interrupted."""
    from kolossos.data.options import PrepareOptions, comma_separated, text_keys
    from kolossos.data.prepare import prepare as run

    with _options_named(), ProgressBars() as bars:
        key_of_all, keys_of_sources = text_keys(text_key or [], sources or [])
        options = PrepareOptions(
            text_key=key_of_all,
            text_keys=keys_of_sources,
            tokenizer=tokenizer,
            end_token=end_token,
            vocab_size=vocab_size,
            val_fraction=val_fraction,
            near_threshold=near_threshold if near_dedup else None,
            min_chars=min_chars,
            seed=seed,
            shard_tokens=shard_tokens,
            limit_bytes=limit_bytes,
            bad_lines=bad_lines,  # pyright: ignore[reportArgumentType]  # checked there
            mask=comma_separated(mask),
            community_posts=community_posts,
        )
        made = run(sources or [], out, options, workers=workers, overwrite=overwrite, progress=bars.show)
    typer.echo(f"{out} {'is complete already, nothing to do' if made.was_complete else 'is ready'}", err=True)
    print_manifest(made.manifest, json)


@contextmanager
def _options_named() -> Iterator[None]:
    """Add to what was wrong with an option how it is written on the command line."""
    from kolossos.data.option_error import OptionError

    try:
        yield
    except OptionError as error:
        raise InputError(f"{error} (see --{error.option.replace('_', '-')})") from error


@app.command()
def show(
    folder: Annotated[str, typer.Argument(help="Folder (or URL) made by 'kolossos data prepare'.", show_default=False)],
    verify: Annotated[bool, typer.Option("--verify", help="Compare every file with its hash in the manifest.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Show what a prepared folder holds and what it was made from."""
    from kolossos.data.corpus.corpus import Corpus

    corpus = Corpus.open(folder)
    if verify:
        corpus.verify()
        typer.echo(f"{folder}: every file is as the manifest says", err=True)
    print_manifest(corpus.manifest, json)

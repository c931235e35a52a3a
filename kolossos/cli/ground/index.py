"""``kolossos index``: posts, notes and documents into an index."""

from pathlib import Path
from typing import Annotated

import typer

from kolossos.cli.show.search import AcknowledgedLine, print_filled


def index(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders or files: an X archive, a Mastodon archive or outbox.json, posts as .jsonl (also Bluesky's "
            "records), a folder of Community Notes tables, or documents that 'kolossos data prepare' reads.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[str, typer.Option(help="Folder of the index, or postgresql://USER@HOST/DATABASE.")],
    embed: Annotated[
        Path | None,
        typer.Option(help="Folder of a sentence-embedding model: search by meaning too.", show_default="words alone"),
    ] = None,
    delete: Annotated[
        list[str] | None, typer.Option(help="Remove the source with this key, or all of author:NAME. May be repeated.")
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Remove what was read from these sources before and is not in them any more.")
    ] = False,
    text_key: Annotated[
        str, typer.Option(help="Key (JSON) or column (tables) that holds the text.", show_default="the usual ones")
    ] = "",
    author: Annotated[str, typer.Option(help="Author of what names none, as an X archive does.")] = "",
    language: Annotated[str, typer.Option(help="Language (en, de, ...) of what states none.")] = "",
    bad_lines: Annotated[str, typer.Option(help="A record that cannot be read: 'refuse' its source, or 'skip'.")] = (
        "refuse"
    ),
    community_posts: Annotated[
        bool, typer.Option("--community-posts", help="Of an X archive also read posts in communities.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Make an index or bring it up to date: add what is new, replace what changed. Can be interrupted at any time."""
    from kolossos.ground.fill import fill
    from kolossos.ground.index.open import open_store
    from kolossos.ground.reading.options import ReadOptions

    options = ReadOptions(text_key, author, language, bad_lines, community_posts)  # pyright: ignore[reportArgumentType]
    store = open_store(out, embed)
    with AcknowledgedLine() as line:
        filled = fill(store, sources or [], options, sync=sync, delete=delete or [], told=line.told)
    print_filled(out, filled, json)

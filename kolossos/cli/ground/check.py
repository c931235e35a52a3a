"""``kolossos check``: each claim of a text supported, contradicted or not found in the sources."""

from typing import Annotated

import typer


def check(
    text: Annotated[str, typer.Argument(help="The text, or a file of it.")],
    *,
    sources: Annotated[str, typer.Option(help="Index that 'kolossos index' made.")],
    words_only: Annotated[bool, typer.Option("--words-only", help="Without vectors: no embedding model is loaded.")] = (
        False
    ),
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Mark each claim supported, contradicted or not found, with the sentences of the sources that say so."""
    from kolossos.cli.show.answer import print_claims
    from kolossos.ground.answer.session import open_sources, text_to_check
    from kolossos.ground.check.claims import Checker

    given = text_to_check(text)
    checker = Checker(*open_sources(sources, words_only))
    print_claims(checker.check(given), checker.remarks, json)

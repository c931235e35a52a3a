"""``kolossos search``: what an index holds about a query."""

from typing import Annotated

import typer


def search(
    index: Annotated[str, typer.Argument(help="Folder of an index, or postgresql://USER@HOST/DATABASE.")],
    query: Annotated[
        list[str],
        typer.Argument(
            help='Words, "a phrase", -excluded, from:NAME, since:2024-01-31, until:2024-06, lang:en, '
            "kind:post|note|document, has:note."
        ),
    ],
    *,
    count: Annotated[int, typer.Option(help="Results at most.")] = 10,
    recency: Annotated[
        float | None,
        typer.Option(
            help="What is new counts up to twice as much as what is old; half of the difference is gone after so many "
            "days.",
            show_default="age does not count",
        ),
    ] = None,
    unfold: Annotated[bool, typer.Option("--unfold", help="Show near duplicates and all passages of a source.")] = (
        False
    ),
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Find by words and, where the index has vectors, by meaning."""
    from kolossos.errors import InputError, nearest
    from kolossos.ground.index import open_index
    from kolossos.ground.query import parse_query
    from kolossos.ground.results import find

    if unknown := next((part for part in query if part.startswith("--") and len(part) > 2), None):
        raise InputError(f"no such option: {unknown}{nearest(unknown, ('--count', '--recency', '--unfold', '--json'))}")
    asked = parse_query(" ".join(query))
    results = find(open_index(index), asked, count, recency_days=recency, fold=not unfold)
    if json:
        from json import dumps

        from kolossos.ground.presented import as_json

        typer.echo(dumps(as_json(results), ensure_ascii=False, indent=1))
    else:
        from kolossos.cli.show.search import print_results

        print_results(results)

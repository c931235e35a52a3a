"""``kolossos clusters`` and ``kolossos gpus``: the hardware of the catalogue, and a file of it to copy and change."""

from typing import Annotated

import typer

Show = Annotated[str | None, typer.Option("--show", help="Print the file of this one, to copy and change.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def clusters(show: Show = None, json: AsJson = False) -> None:
    """List the clusters that come with Kolossos. The format of a file of your own: docs/clusters.md."""
    from kolossos.cli.show.hardware import print_clusters, print_json
    from kolossos.specs.listing import all_clusters, file_of

    if show is not None:
        typer.echo(file_of("clusters", show))
    elif json:
        print_json(all_clusters())
    else:
        print_clusters(all_clusters())


def gpus(show: Show = None, json: AsJson = False) -> None:
    """List the cards that come with Kolossos. The format of a file of your own: docs/clusters.md."""
    from kolossos.cli.show.hardware import print_gpus, print_json
    from kolossos.specs.listing import all_gpus, file_of

    if show is not None:
        typer.echo(file_of("gpus", show))
    elif json:
        print_json(all_gpus())
    else:
        print_gpus(all_gpus())

"""``kolossos report``: what a run used, and which lines of the law it is near."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run_or_plan: Annotated[
        Path,
        typer.Argument(
            help="A run folder, or the JSON of `kolossos plan --json` or `simulate --json`.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files.", show_default="RUN/report or PLAN-report")
    ] = None,
    developer_revenue_usd: Annotated[
        float | None,
        typer.Option(
            help="Yearly revenue of the developer with affiliates: some lines ask for it.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON; files only with --out.")] = False,
) -> None:
    """State compute, energy, cost, hardware, data and legal lines of a run or plan. No legal advice."""
    from kolossos.cli.options import value_of
    from kolossos.report.document import check_revenue, default_folder, make_report, write_report

    if developer_revenue_usd is not None:
        with value_of("--developer-revenue-usd"):
            check_revenue(developer_revenue_usd)
    document = make_report(run_or_plan, developer_revenue_usd)
    if out is not None:
        with value_of("--out"):
            written = write_report(document, out)
    else:
        written = [] if json else write_report(document, default_folder(run_or_plan))
    if json:
        typer.echo(document.json, nl=False)
        return
    from rich.console import Console

    console = Console()
    for line in document.in_short:
        console.print(line, markup=False, highlight=False)
    for path in written:
        console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)

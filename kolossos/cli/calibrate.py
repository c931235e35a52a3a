"""``kolossos calibrate``: measure this computer."""

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    *,
    out: Annotated[
        Path | None, typer.Option(help="The hardware file to write.", show_default="NAME.toml in this folder")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Its name in plans.", show_default="the model of processor or card")
    ] = None,
    cluster_out: Annotated[
        Path | None, typer.Option(help="Write a cluster of this one computer, too.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long to measure: longer is steadier.")] = 90.0,
    threads: Annotated[int, typer.Option(help="CPU threads.", show_default="all cores")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, with every timing.")] = False,
) -> None:
    """Measure this computer (products, memory, attention, collectives, power) into a hardware file that plans read."""
    from kolossos.calibrate.paths import check_options

    check_options(out, cluster_out, seconds, threads)
    from kolossos.train.waiting import choose_waiting

    choose_waiting()
    from kolossos.calibrate.file import as_json, measure_into_files
    from kolossos.cli.show.calibration import CalibrationDisplay, show_calibration

    with CalibrationDisplay() as display:
        made = measure_into_files(out, name, cluster_out, seconds, threads, display)
    if json:
        typer.echo(as_json(made.spec, made.calibration))
        return
    show_calibration(made.spec, made.calibration)
    typer.echo(f"hardware: {made.hardware}" + (f"; cluster: {made.cluster}" if made.cluster else ""))

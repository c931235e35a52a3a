"""``kolossos plan``: the best layout for a model on a cluster, and what it takes."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kolossos.errors import InputError, nearest

if TYPE_CHECKING:
    from kolossos.plan.answer.one_kind import Answer
    from kolossos.plan.answer.request import Question

PICTURES = (".png", ".svg", ".pdf")
FIELDS = (
    "tokens", "gpus", "layout", "seq_len", "global_batch", "global_batch_tokens", "precision", "objective",
    "memory_margin", "calibrate_on",
)  # fmt: skip
"""What an error of the request may begin with: the option's name without dashes."""


def plan(
    *,
    model: Annotated[str, typer.Argument(help="A model: a name of the catalogue, a TOML file or a config.json.")],
    cluster: Annotated[str, typer.Option(help="A cluster: a name of the catalogue, or a TOML file.")],
    tokens: Annotated[float, typer.Option(help="Tokens to train on.")] = 1e12,
    gpus: Annotated[
        int | None, typer.Option(help="Use at most so many GPUs.", show_default="all of the cluster")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="Price this layout: tp=8,pp=4,... Without it, search.", show_default=False),
    ] = None,
    seq_len: Annotated[int | None, typer.Option(help="Tokens of a sequence.", show_default="up to 8192")] = None,
    global_batch: Annotated[int | None, typer.Option(help="Sequences of a step, exactly.", show_default=False)] = None,
    global_batch_tokens: Annotated[
        float | None,
        typer.Option(help="Tokens of a step, give or take 10 %.", show_default="as published for models of the size"),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="bf16, fp8, mxfp8 or nvfp4.", show_default="the fastest but nvfp4")
    ] = None,
    objective: Annotated[str, typer.Option(help="time, cost or energy: what to make small.")] = "time",
    software: Annotated[
        str | None, typer.Option(help="Generation of training software.", show_default="a current Megatron")
    ] = None,
    any_schedule: Annotated[
        bool, typer.Option("--any-schedule", help="Search schedules, too, that the software does not have.")
    ] = False,
    memory_margin: Annotated[
        float | None, typer.Option(help="Share of each card's memory to keep free.", show_default="0.08")
    ] = None,
    calibrate_on: Annotated[
        Path | None,
        typer.Option(help="CSV of steps measured on this machine: layout,step_time_s.", show_default=False),
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="Say what decides, and what the next euro should buy.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a picture (.png, .svg, .pdf).", show_default=False)] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write one step as a Chrome/Perfetto trace.", show_default=False)
    ] = None,
    export: Annotated[
        str | None, typer.Option(help="Write the layout for kolossos, megatron or torchtitan.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File of --export.", show_default=False)] = None,
) -> None:
    """Predict a training step on a cluster, and find the best layout for it: no GPU needed."""
    asked = locals()
    from kolossos.plan.answer.request import answer_question

    _check_files(plot, trace, export, out)
    question = _read(asked)
    if question.is_mixed:
        for wanted, given in (("plot", plot), ("trace", trace), ("export", export), ("why", why)):
            if given:
                raise InputError(
                    f"--{wanted}: not for a cluster of several kinds of GPU; plan its first kind with --gpus N"
                )
        _print_mixed(question, json)
        return
    found = answer_question(question)
    _write(found, plot, trace, export, out)
    _print_answer(found, why, json)


def _read(asked: dict[str, Any]) -> "Question":
    """The request among the options; its errors name the option."""
    from kolossos.plan.answer.request import PlanRequest, read_request

    try:
        return read_request(PlanRequest(**{f.name: asked[f.name] for f in fields(PlanRequest)}))
    except InputError as error:
        raise InputError(_with_flag(str(error))) from None


def _with_flag(said: str) -> str:
    """An error of the request, with the option that its field came from."""
    field, _, rest = said.partition(" ")
    return f"--{field.replace('_', '-')} {rest}" if field in FIELDS else said


def _check_files(plot: Path | None, trace: Path | None, export: str | None, out: Path | None) -> None:
    from kolossos.plan.answer.export import EXPORTS

    if export and export not in EXPORTS:
        raise InputError(f"--export {export}: unknown{nearest(export, EXPORTS)}")
    if bool(export) != bool(out):
        raise InputError("--export FORMAT and --out FILE belong together")
    if plot and plot.suffix not in PICTURES:
        raise InputError(f"--plot {plot}: expected a name that ends in {', '.join(PICTURES)}")
    for path in (plot, trace, out):
        if path and not path.absolute().parent.is_dir():
            raise InputError(f"{path}: no such folder: {path.absolute().parent}")


def _print_mixed(question: "Question", json: bool) -> None:
    from kolossos.cli.show.plan import print_json, show_mixed
    from kolossos.plan.answer.record_mixed import mixed_record
    from kolossos.plan.answer.request import answer_mixed

    asked = (question.jobs, question.cluster, answer_mixed(question), question.tokens)
    if json:
        print_json(mixed_record(*asked))
    else:
        show_mixed(*asked)


def _print_answer(found: "Answer", why: bool, json: bool) -> None:
    from kolossos.cli.show.plan import print_json, show_answer
    from kolossos.plan.answer.explain import purchases
    from kolossos.plan.answer.record import answer_record

    bought = purchases(found) if why else []
    if json:
        print_json(answer_record(found, bought))
    else:
        show_answer(found, bought, why)


def _write(found: "Answer", plot: Path | None, trace: Path | None, export: str | None, out: Path | None) -> None:
    """The files that were asked for."""
    if export and out:
        from kolossos.plan.answer.export import write_export

        write_export(export, found, out)
    if plot:
        from kolossos.plan.answer.plots import plot_answer

        plot_answer(found, plot)
    if trace:
        from kolossos.plan.answer.trace import write_trace

        if found.played is None:
            steps = found.priced.layout.accumulation_steps
            raise InputError(f"--trace {trace}: {steps:,} micro-batches a step are too many to play")
        title = f"{found.job.model.name} on {found.cluster.name}: {found.priced.layout}"
        write_trace(found.played, trace, title)
    for path in (out, plot, trace):
        if path:
            typer.echo(f"written: {path}", err=True)

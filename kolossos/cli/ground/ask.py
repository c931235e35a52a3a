"""``kolossos ask``: an answer of quotations, or that the sources hold none; measured, or in a browser."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kolossos.errors import InputError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from kolossos.ground.answer.written.client import ChatModel


def ask(
    question: Annotated[
        list[str] | None,
        typer.Argument(
            help="In plain words; from:NAME, since:2024-01-31, lang:en and such filter.", show_default=False
        ),
    ] = None,
    *,
    sources: Annotated[
        str | None, typer.Option(help="Index that 'kolossos index' made.", show_default="of --evaluate: the set's own")
    ] = None,
    words_only: Annotated[bool, typer.Option("--words-only", help="Without vectors: no embedding model is loaded.")] = (
        False
    ),
    least: Annotated[
        float | None, typer.Option(help="Probability of an answer in the sources, to give one.", show_default="0.7-0.8")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A language model chooses what is quoted: http://HOST:PORT/v1 or a folder.", show_default="no"
        ),
    ] = None,
    model_name: Annotated[str, typer.Option(help="Of the model at an address.", show_default="its first")] = "",
    evaluate: Annotated[
        Path | None,
        typer.Option(help="Measure on questions with answers: SQuAD's layout, or JSONL.", show_default="no"),
    ] = None,
    embed: Annotated[
        Path | None, typer.Option(help="Embedding model of --evaluate without --sources.", show_default="words alone")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report of --evaluate.", show_default=False)] = None,
    serve: Annotated[bool, typer.Option("--serve", help="A page on this machine to ask, check and search in.")] = False,
    port: Annotated[int, typer.Option(help="Of --serve; 0: any that is free.")] = 8010,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Answer with sentences of the sources, word for word, or say that they hold no answer.

    A model behind an address that wants a key is shown the one in KOLOSSOS_MODEL_KEY.
    """
    from kolossos.ground.answer.session import open_asker, plain_query

    chosen = [bool(question), evaluate is not None, serve]
    if sum(chosen) != 1:
        raise InputError("give one of: a question, --evaluate SET, or --serve")
    if evaluate is not None:
        _evaluate(evaluate, out, sources, None if words_only else embed, least, (model, model_name), json)
        return
    query = plain_query(" ".join(question or ())) if question else None
    asker = open_asker(sources, least, words_only)
    with _model(model, model_name) as writer:
        if query is None:
            _serve(asker, port, writer, str(sources), json)
            return
        from kolossos.cli.show.answer import print_answer
        from kolossos.ground.answer.written.choose import choose

        considered = asker.consider(query)
        answer = asker.answer(considered)
        print_answer(choose(answer, considered, writer) if writer else answer, json)


def _model(place: str | None, name: str) -> "AbstractContextManager[ChatModel | None]":
    import os

    from kolossos.ground.answer.written.started import model_at

    return model_at(place, name, os.environ.get("KOLOSSOS_MODEL_KEY")) if place else nullcontext()


def _evaluate(
    questions: Path,
    out: Path | None,
    sources: str | None,
    embed: Path | None,
    least: float | None,
    model: tuple[str | None, str],
    json: bool,
) -> None:
    from kolossos.cli.show.answer import Progress, print_measured
    from kolossos.ground.measure.run import Measurement, measure

    if out is None:
        raise InputError("--evaluate needs --out FOLDER for its report")
    with _model(*model) as writer, Progress() as progress:
        measured = measure(Measurement(questions, sources, embed, least, writer), out, progress.told)
    print_measured(measured, out, json)


def _serve(asker, port: int, writer: "ChatModel | None", sources: str, json: bool) -> None:
    from kolossos.ground.serve.run import serve

    def started(address: str) -> None:
        typer.echo(f'{{"address": "{address}"}}' if json else f"{address} (answers from {sources}; stop with Ctrl-C)")

    serve(asker, writer, port, started)

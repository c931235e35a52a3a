"""``kolossos ask``: an answer of quotations, or that the sources hold none; measured, or in a browser."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kolossos.ground.answer.ask import Asker


def ask(
    question: Annotated[
        list[str] | None,
        typer.Argument(help="In plain words; from:NAME, since:2024-01-31, until:2024-06, lang:en and others filter."),
    ] = None,
    *,
    sources: Annotated[
        str | None, typer.Option(help="Index that 'kolossos index' made.", show_default="with --evaluate: the set's own")
    ] = None,
    words_only: Annotated[bool, typer.Option("--words-only", help="Compare without vectors: no model is loaded.")] = (
        False
    ),
    least: Annotated[
        float | None, typer.Option(help="Probability that an answer is there, to give one.", show_default="calibrated")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A language model chooses the quotations: http://HOST:PORT/v1, or its folder.")
    ] = None,
    model_name: Annotated[str, typer.Option(help="Of the model, at an address.", show_default="its first")] = "",
    evaluate: Annotated[
        Path | None, typer.Option(help="Measure on questions with gold answers: SQuAD's layout, or JSONL.")
    ] = None,
    embed: Annotated[
        Path | None, typer.Option(help="Embedding model for --evaluate without --sources.", show_default="words alone")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report of --evaluate.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="A page to ask, check and search in, until stopped.")] = False,
    host: Annotated[str, typer.Option(help="Of --serve; beyond this machine only with --key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Of --serve; 0: any that is free.")] = 8010,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Answer a question with sentences of the sources, word for word, or say that they hold no answer.

    A server of a model that needs a key is told the one in KOLOSSOS_MODEL_KEY.
    """
    from kolossos.cli.show.answer import print_answer, print_measured
    from kolossos.ground.answer.session import Choice, asked_of, check_choice, open_asker

    choice = Choice(" ".join(question or ()), sources, evaluate, out, serve)
    check_choice(choice)
    if evaluate is not None:
        from kolossos.ground.measure.run import measure

        assert out is not None
        measured = measure(evaluate, out, sources, None if words_only else embed, least, _writer(model, model_name))
        print_measured(measured, out, json)
        return
    assert sources is not None
    asker = open_asker(sources, least, words_only)
    if serve:
        _serve(asker, sources, (host, port), _writer(model, model_name), json)
        return
    answer = asked_of(asker, choice.question, _writer(model, model_name))
    print_answer(answer, json)


def _writer(model: str | None, name: str) -> Any:
    ...


def _serve(asker: "Asker", sources: str, bind: tuple[str, int], writer: Any, json: bool) -> None:
    ...

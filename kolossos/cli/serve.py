"""``kolossos serve``: a model behind an API and a page."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    run: Annotated[Path, typer.Argument(help="Run folder, or a Hugging Face one.", show_default=False)],
    *,
    host: Annotated[str, typer.Option(help="Beyond this machine only with keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8000,
    name: Annotated[str | None, typer.Option(help="Of the model, in requests.", show_default="the folder's")] = None,
    step: Annotated[int | None, typer.Option(help="Checkpoint of a run.", show_default="newest")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="File with a key a line; KOLOSSOS_API_KEYS holds more.", show_default="none")
    ] = None,
    cors: Annotated[list[str] | None, typer.Option(help="Origin of a page that may ask; repeatable.")] = None,
    max_body: Annotated[float, typer.Option(help="Largest request, in MiB.")] = 8.0,
    weights: Annotated[str, typer.Option(help="fp32, or bf16 or int8: smaller and faster, rounded.")] = "fp32",
    threads: Annotated[int | None, typer.Option(help="Of the engine.", show_default="the fastest here")] = None,
    context: Annotated[
        int | None, typer.Option(help="Tokens of prompt and answer.", show_default="the model's")
    ] = None,
    memory: Annotated[
        float | None, typer.Option(help="MiB for keys and values.", show_default="an eighth of what is free")
    ] = None,
    batch: Annotated[int, typer.Option(help="Answers at once.")] = 32,
    queue: Annotated[int, typer.Option(help="Requests that may wait; more get 429.")] = 1024,
    drain: Annotated[float, typer.Option(help="Seconds for answers to finish when told to stop.")] = 30.0,
    stuck_after: Annotated[float, typer.Option(help="Seconds of one step until /health says so.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
) -> None:
    """Serve a model with the interface of OpenAI, and a page to talk with it, until stopped."""
    from kolossos.cli.show.text import printable
    from kolossos.serve.engine.options import EngineOptions
    from kolossos.serve.http.run import Settings, Started, serve

    engine = EngineOptions(
        weights=weights,  # type: ignore[arg-type]
        threads=threads,
        context=context,
        memory_bytes=None if memory is None else int(memory * 2**20),
        most_at_once=batch,
        most_waiting=queue,
    )
    settings = Settings(
        host=host,
        port=port,
        name=name,
        step=step,
        keys=keys,
        origins=tuple(cors or ()),
        largest_body=int(max_body * 2**20),
        engine=engine,
        drain_s=drain,
        stuck_s=stuck_after,
    )

    def started(it: Started) -> None:
        if json:
            from dataclasses import asdict
            from json import dumps

            typer.echo(dumps(asdict(it)))
            return
        chats = "trained on chats" if it.trained_on_chats else "not trained on chats: it continues texts"
        typer.echo(f"{it.address} (model {printable(it.model)}, {chats}{'; a key is needed' if it.needs_key else ''})")

    serve(run, settings, started, say=lambda line: typer.echo(printable(line), err=True))

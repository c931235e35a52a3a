"""``kolossos notes bot``: a language model that bets."""

import os
import sys
from typing import Annotated

import typer


def bot(
    server: Annotated[str, typer.Option(help="Address of a service that kolossos notes serve runs.")],
    model_url: Annotated[str, typer.Option(help="Base of an OpenAI-compatible API, such as http://127.0.0.1:8000/v1.")],
    model: Annotated[str, typer.Option(help="The model's name there.")],
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 30.0,
    rounds: Annotated[int | None, typer.Option(help="Looks until it ends; without end if not stated.")] = None,
) -> None:
    """Bet with a language model's forecasts. It sees post, note and ratings, never the price.

    The account's key is taken from KOLOSSOS_NOTES_KEY, the model's, if it needs one, from KOLOSSOS_MODEL_KEY.
    """
    from kolossos.errors import InputError
    from kolossos.notes.bots.customer import Customer, run
    from kolossos.notes.bots.remote import RemoteModel

    key = os.environ.get("KOLOSSOS_NOTES_KEY")
    if not key:
        raise InputError("KOLOSSOS_NOTES_KEY is not set: the key of the account that bets is needed")
    forecaster = RemoteModel(model_url, model, os.environ.get("KOLOSSOS_MODEL_KEY"))

    def tell(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    run(Customer(server, key, forecaster.forecast), tell, every, rounds)

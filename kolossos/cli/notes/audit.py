"""``kolossos notes audit``: what happens to markets that get no verdict."""

from pathlib import Path
from typing import Annotated

import typer


def audit(
    seed: Annotated[Path, typer.Option(help="File with a secret seed of 16 bytes or more; made if --plan finds none.")],
    *,
    ledger: Annotated[str, typer.Option(help="A file, or postgresql://USER@HOST/DATABASE.")] = "notes.db",
    by: Annotated[str, typer.Option(help="The operator who does it.")] = "operator",
    plan: Annotated[bool, typer.Option(help="Publish the hash of the seed and the rules; else draw.")] = False,
    least: Annotated[float, typer.Option(help="Chance of a market without trades.")] = 0.05,
    volume: Annotated[str, typer.Option(help="Credits of volume from which every market is audited.")] = "1000",
    mode: Annotated[
        str, typer.Option(help="How a market that is not drawn ends: refund, nobody or average.")
    ] = "refund",
    json: Annotated[bool, typer.Option("--json", help="Print what happened as JSON.")] = False,
) -> None:
    """First --plan, before markets open; after they closed, draw: some are halted for an auditor, the others end."""
    from kolossos.errors import InputError
    from kolossos.notes.ledger.ledger import Ledger
    from kolossos.notes.market.amounts import from_credits
    from kolossos.notes.oracle.audits import commitment, draw, read_seed

    if not 0 <= least <= 1:
        raise InputError(f"--least {least}: expected a chance from 0 to 1")
    secret = read_seed(seed, make=plan)
    opened = Ledger(ledger)
    if plan:
        rules = {
            "least_ppm": round(least * 1_000_000),
            "volume_for_all": from_credits(volume, "--volume"),
            "mode": mode,
        }
        said = opened.one("plan_audits", by=by, commitment=commitment(secret), **rules)
        text = f"published: {said['commitment']}; keep {seed} secret until the draw"
    else:
        chosen, others = draw(opened, secret, by)
        said = {"audited": chosen, "ended": others}
        text = f"to be audited: {', '.join(chosen) or 'none'}; ended without: {len(others)}"
    opened.close()
    if json:
        from json import dumps

        text = dumps(said, indent=1)
    typer.echo(text)

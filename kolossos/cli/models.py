"""``kolossos models``: the catalogue."""

from typing import Annotated

import typer


def models(json: Annotated[bool, typer.Option("--json", help="Print the catalogue as JSON.")] = False) -> None:
    """List the models of the catalogue with their parameter counts."""
    from kolossos.specs.catalogue import load_model, model_names
    from kolossos.specs.counts import count_parameters

    specs = [load_model(name) for name in model_names()]
    if json:
        from json import dumps

        rows = []
        for spec in specs:
            count = count_parameters(spec)
            rows.append({**spec.model_dump(), "parameters": count.total, "active_parameters": count.active})
        typer.echo(dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "parameters", "active", "layers", "dim", "experts", "context")
    for column in table.columns[1:]:
        column.justify = "right"
    for spec in specs:
        count = count_parameters(spec)
        experts = f"{spec.moe.top_k} of {spec.moe.n_experts}" if spec.moe else "-"
        sizes = (_short(count.total), _short(count.active))
        table.add_row(spec.name, *sizes, str(spec.n_layers), str(spec.dim), experts, f"{spec.max_seq_len:,}")
    Console().print(table)


def _short(count: int) -> str:
    return f"{count / 1e9:,.1f} B" if count >= 1e9 else f"{count / 1e6:,.1f} M"

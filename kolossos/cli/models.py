"""``kolossos models``: the catalogue, and one model in full."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kolossos.specs.model import ModelSpec


def models(
    name: Annotated[
        str | None, typer.Argument(help="A model in full: a name, a TOML file, a config.json; or a pattern: 'bloom-*'.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the models of the catalogue with their parameter counts, or show one in full."""
    from kolossos.errors import InputError
    from kolossos.specs import listing
    from kolossos.specs.catalogue import load_model, model_names

    pattern = name is not None and any(c in name for c in "*?")
    if name is not None and not pattern:
        spec = load_model(name)
        if json:
            _print_json(listing.described(spec))
        else:
            typer.echo(listing.text_of(name))
            _print_counts(spec)
        return
    specs = listing.matching(name) if name else [load_model(n) for n in model_names()]
    if not specs:
        raise InputError(f"no model matches '{name}'; `kolossos models` lists them")
    if json:
        _print_json([listing.described(spec) for spec in specs])
    elif pattern:
        _print_table([[(spec.name, (spec,)) for spec in specs]])
    else:
        _print_table([[(e.name, e.specs) for e in entries] for entries in listing.families()])
        typer.echo("+: and shared experts. One in full: kolossos models NAME; more: 'vtrain-*'")


def _print_json(value: object) -> None:
    from json import dumps

    typer.echo(dumps(value, indent=1))


def _print_table(sections: "list[list[tuple[str, tuple[ModelSpec, ...]]]]") -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    from kolossos.cli.show.text import table_console
    from kolossos.specs.counts import count_parameters

    headings = ("model", "params", "active", "layers", "dim", "experts", "context")
    table = Table(*headings, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for column in table.columns:
        column.no_wrap, column.justify = True, "left" if column.header == "model" else "right"
    for section in sections:
        for label, specs in section:
            counts = [count_parameters(spec) for spec in specs]
            moe, alike = specs[0].moe, len({spec.dim for spec in specs}) == 1
            table.add_row(
                label if len(specs) == 1 else f"{label} ({len(specs)})",
                _sizes([c.total for c in counts]),
                _sizes([c.active for c in counts]) if moe else "",
                _range([spec.n_layers for spec in specs]),
                str(specs[0].dim) if alike else "",
                f"{moe.top_k} of {moe.n_experts}{'+' if moe.shared_dim else ''}" if moe else "",
                f"{specs[0].max_seq_len:,}",
            )
        table.add_section()
    table_console().print(table)


def _print_counts(spec: "ModelSpec") -> None:
    from rich.table import Table

    from kolossos.cli.show.text import table_console
    from kolossos.specs.listing import described

    facts = described(spec)
    table = Table("parameters", "", show_header=False)
    table.columns[1].justify = "right"
    for part, size in facts["parameters_by_part"].items():
        if size and part != "mtp":
            table.add_row(part.replace("_", " "), _short(size))
    table.add_section()
    table.add_row("parameters", _short(facts["parameters"]))
    table.add_row("active for one token", _short(facts["active_parameters"]))
    for kind, layers in facts["layers"].items():
        table.add_row(f"each of {layers['n_layers']} {kind} layers", _short(layers["parameters_each"]))
    flops = facts["training_flops_per_token"] / 1e9
    table.add_row(f"training FLOPs per token, {spec.max_seq_len:,} tokens", f"{flops:,.1f} G")
    beside = {"layers that predict further tokens": facts["parameters_by_part"]["mtp"]}
    beside["encoders"] = spec.encoder_parameters
    for what, size in beside.items():
        if size:
            table.add_row(f"beside it: {what}", _short(size))
    if spec.not_priced:
        table.add_row("not priced", ", ".join(spec.not_priced))
    if facts["aliases"]:
        table.add_row("also known as", ", ".join(facts["aliases"]))
    table_console().print(table)


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}–{high}"


def _sizes(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return _short(low) if low == high else f"{low / 1e9:,.1f}–{high / 1e9:,.0f} B"


def _short(count: int) -> str:
    return f"{count / 1e9:,.1f} B" if count >= 1e9 else f"{count / 1e6:,.1f} M"

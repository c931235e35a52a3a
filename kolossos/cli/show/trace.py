"""A trace for people: FLOPs by kind, bytes by axis and collective, memory."""

from rich.console import Console
from rich.table import Table

from kolossos.cli.show.text import table_console
from kolossos.trace.answer import TraceAnswer

GIB = 2**30
UNITS = ((15, "P"), (12, "T"), (9, "G"), (0, ""))


def show_trace(answer: TraceAnswer, console: Console | None = None) -> None:
    """Everything is of one rank and one step."""
    console = console or table_console()
    layout, counts = answer.spec.layout, answer.counts
    layers = f"{len(answer.layers)} of {answer.spec.model.n_layers} layers"
    console.print(
        f"{answer.spec.model.name}: rank {answer.rank:,} of {layout.world_size:,}, {layers}, "
        f"{layout.accumulation_steps} micro-batches of {layout.micro_batch_size} x {layout.seq_len}",
        highlight=False,
    )
    unit, prefix = next((10.0**power, name) for power, name in UNITS if answer.flops >= 10**power or not power)
    flops = Table("FLOPs of", f"{prefix}FLOP", "%", box=None)
    for kind, number in sorted(counts.flops.items(), key=lambda item: -item[1]):
        flops.add_row(kind, f"{number / unit:,.2f}", f"{100 * number / max(answer.flops, 1):.1f}")
    flops.add_row("all", f"{answer.flops / unit:,.2f}", "100.0")
    console.print(flops)
    sent = Table("axis", "collective", "calls", "sent, MiB", box=None)
    for (axis, what), calls in sorted(counts.calls.items(), key=lambda item: -counts.sent_bytes[item[0]]):
        sent.add_row(axis, what, f"{calls:,}", f"{counts.sent_bytes[axis, what] / 2**20:,.2f}")
    if counts.calls:
        console.print(sent)
    memory = Table("memory", "MiB", box=None)
    parts = {
        "weights, held": counts.weights_bytes,
        "optimizer": counts.optimizer_bytes,
        "gradients, held": counts.gradient_bytes,
        "peak, with these": counts.peak_bytes,
    }
    for name, size in parts.items():
        memory.add_row(name, f"{size / 2**20:,.1f}")
    console.print(memory)
    console.print(f"traced in {answer.seconds:.1f} s and {answer.peak_rss_bytes / GIB:.1f} GiB", highlight=False)

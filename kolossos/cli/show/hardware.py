"""Clusters and cards as tables of 80 columns."""

from collections.abc import Sequence
from json import dumps

from rich.box import SIMPLE
from rich.table import Table

from kolossos.cli.show.text import table_console
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.strict import Spec

GIB = 2.0**30


def print_json(specs: Sequence[Spec]) -> None:
    """Everything that the files say."""
    print(dumps([spec.model_dump(by_alias=True) for spec in specs], indent=1))


def print_clusters(clusters: list[ClusterSpec]) -> None:
    """One line each; rates in the units that they are sold in."""
    table = _table("cluster", "GPUs", "of", "NVLink", "fabric", "Gb/s a GPU")
    for cluster in clusters:
        domains = sorted({pool.nvlink_domain for pool in cluster.pools})
        table.add_row(
            cluster.name,
            f"{cluster.n_gpus:,}",
            ", ".join(dict.fromkeys(pool.gpu for pool in cluster.pools)),
            ", ".join(map(str, domains)),
            cluster.fabric.kind,
            f"{cluster.fabric.nic_bytes_per_s * 8e-9:g}",
        )
    table_console().print(table)
    print("One as a file to copy and change: kolossos clusters --show dgx-h100-64")


def print_gpus(gpus: list[GpuSpec]) -> None:
    """One line each; rates are those that the makers print."""
    table = _table("card", "family", "bf16 TFLOP/s", "GiB", "TB/s", "link GB/s", "W", "USD/h")
    for gpu in gpus:
        table.add_row(
            gpu.name,
            gpu.family,
            f"{gpu.peak('bf16') * 1e-12:,.0f}",
            f"{gpu.memory_bytes / GIB:.0f}",
            f"{gpu.memory_bandwidth_bytes_per_s * 1e-12:.2f}",
            f"{gpu.nvlink_bytes_per_s * 1e-9:.0f}",
            f"{gpu.tdp:.0f}" if gpu.tdp else "",
            f"{gpu.usd_per_hour:.2f}" if gpu.usd_per_hour else "",
        )
    table_console().print(table)
    print("One as a file to copy and change: kolossos gpus --show h100")


def _table(*headings: str) -> Table:
    table = Table(*headings, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "left" if column.header in ("cluster", "card", "of", "family", "fabric") else "right"
    return table

"""The rows of the table: which contestants run, and with which settings."""

from dataclasses import asdict, dataclass
from itertools import product


@dataclass(frozen=True)
class Row:
    """precision: fp32; autocast (fp32 weights, bf16 matmuls); bf16 (weights, gradients and moments too; Kolossos' bf16
    keeps weights and moments in fp32, so it stands between the two).

    experts: how an MoE runs its experts, for a contestant that offers a choice: loop (one matmul each) or grouped
    (`grouped_mm`).
    """

    contestant: str
    model: str
    precision: str
    compile: bool = False
    experts: str = ""

    @property
    def settings(self) -> str:
        return " ".join(filter(None, [self.precision, self.experts, "compile" if self.compile else ""]))

    def arguments(self) -> list[str]:
        """The row as command line arguments of peers/worker.py."""
        given = {name: str(value) for name, value in asdict(self).items() if name != "compile" and value}
        flags = [part for name, value in given.items() for part in (f"--{name}", value)]
        return [*flags, "--compile"] if self.compile else flags


PEERS = ("plain", "hf-trainer", "litgpt")
CONTESTANTS = ("kolossos", *PEERS)
MODELS = ("dense", "moe")
PRECISIONS = ("fp32", "autocast", "bf16")


def rows_of(contestant: str, model: str) -> list[Row]:
    """All settings under which a contestant might be at its best; what it does not offer is left out."""
    if contestant == "kolossos":
        return [Row(contestant, model, *choice) for choice in product(("fp32", "bf16"), (False, True))]
    if model == "dense" or contestant == "litgpt":
        return [Row(contestant, model, *choice) for choice in product(PRECISIONS, (False, True))]
    # A loop over experts breaks the graph at each of them, and torch 2.13 compiles grouped_mm for bf16 alone.
    choices = [
        *product(PRECISIONS, (False,), ("loop", "grouped")),
        *product(("autocast", "bf16"), (True,), ("grouped",)),
    ]
    return [Row(contestant, model, *choice) for choice in choices]

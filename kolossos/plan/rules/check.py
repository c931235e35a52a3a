"""Which layouts can be: the rules that Megatron-class software and the hardware set, as masks over columns.

A search asks ``broken`` for a whole array of layouts; a person's one layout goes through ``check``, which names the
rule and says what would be right. Both read the same table.
"""

import numpy as np
from numpy.typing import NDArray

from kolossos.errors import InputError
from kolossos.plan.columns import LayoutColumns
from kolossos.plan.rules.rule import Bounds
from kolossos.plan.rules.table import RULES
from kolossos.specs.layout import Layout

_FIELDS = tuple(LayoutColumns.__dataclass_fields__)


def broken(layouts: LayoutColumns, bounds: Bounds) -> NDArray[np.int8]:
    """For each layout the index in RULES of the first rule that it breaks, or -1."""
    first = np.full(np.broadcast_shapes(*(np.shape(getattr(layouts, n)) for n in _FIELDS)), -1, dtype=np.int8)
    for index, rule in reversed(list(enumerate(RULES))):
        first[np.broadcast_to(~rule.allows(layouts, bounds), first.shape)] = index
    return first


def check(layout: Layout, bounds: Bounds, columns: LayoutColumns | None = None) -> None:
    """InputError naming the first rule that ``layout`` breaks; ``columns``: the same, where they are known already."""
    index = int(broken(columns or LayoutColumns.of(layout), bounds).item())
    if index >= 0:
        raise InputError(f"layout {describe(layout)}: {RULES[index].name}: {RULES[index].says(layout, bounds)}")


def describe(layout: Layout) -> str:
    """The parallel degrees that differ from one, and the micro-batch."""
    degrees = [f"{name}={getattr(layout, name)}" for name in ("tp", "pp", "vp", "cp", "ep", "etp", "dp_shard")]
    shown = [text for text in degrees if not text.endswith("=1")]
    if layout.dp_replicate > 1:
        shown.append(f"dp_replicate={layout.dp_replicate}")
    return " ".join([*shown, f"micro_batch_size={layout.micro_batch_size}"])

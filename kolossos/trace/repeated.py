"""Equal layers and equal micro-batches traced a few times and counted.

Everything that `rank.Counts` holds is affine in the number of layers of a kind on each chunk once there are `FEW` (the
first and the last differ: FSDP gathers the next while one computes), and in the number of micro-batches once the
pipeline is full. So the step is traced at a small size and once more with one more of each, and the differences are
added as often as they occur. (That it is so is tested against traces of the whole.)
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace

from kolossos.model.part import ModelPart
from kolossos.parallel.mesh import Meshes
from kolossos.specs.model import ModelSpec
from kolossos.specs.run import RunSpec
from kolossos.trace.rank import Counts, Said, trace_rank

FEW = 3

Kind = tuple[object, ...]


def trace_repeated(spec: RunSpec, parts: Sequence[ModelPart], meshes: Meshes | None, said: Said) -> Counts:
    """The counts of the whole step, from traces of shorter ones."""
    layout = spec.layout
    passes, by = few_passes(layout.accumulation_steps, layout.pp, layout.vp)
    left = {kind: _left_out(spec.model, parts, kind) for kind in _kinds(spec.model, parts)}
    traced = sum(len(_without(part, spec.model, left).layers) for part in parts)
    layers = sum(len(part.layers) for part in parts)
    said(f"traced are {traced} of {layers} layers and {passes} of {layout.accumulation_steps} micro-batches")

    def shorter(left_out: dict[Kind, int], number: int) -> Counts:
        return trace_rank(spec, [_without(part, spec.model, left_out) for part in parts], number, meshes)

    counts = base = shorter(left, passes)
    per_layer = {kind: _difference(shorter(left | {kind: n - 1}, passes), base) for kind, n in left.items() if n}
    for kind, difference in per_layer.items():
        counts = _sum(counts, difference, left[kind])
    if passes < layout.accumulation_steps:
        # a pass more takes more with more layers: the same again with one pass more
        more = shorter(left, passes + by)
        grown = more
        for kind, n in left.items():
            if n:
                grown = _sum(grown, _difference(shorter(left | {kind: n - 1}, passes + by), more), n)
        counts = _sum(counts, _difference(grown, counts), (layout.accumulation_steps - passes) // by)
    return counts


def few_passes(passes: int, pp: int, vp: int) -> tuple[int, int]:
    """With how many micro-batches everything has happened that happens with ``passes``, and in which steps it grows."""
    by = pp if vp > 1 else 1
    enough = 2 if pp == 1 else pp + 1 if vp == 1 else 3 * pp
    return (passes, by) if enough + by >= passes else (enough, by)


def _kinds(model: ModelSpec, parts: Sequence[ModelPart]) -> list[Kind]:
    return sorted({_kind(model, number) for part in parts for number in part.layers}, key=str)


def _kind(model: ModelSpec, number: int) -> Kind:
    return (model.window_of(number),)


def _left_out(model: ModelSpec, parts: Sequence[ModelPart], kind: Kind) -> int:
    """How many layers of a kind every chunk can do without."""
    fewest = min(sum(_kind(model, number) == kind for number in part.layers) for part in parts)
    return max(fewest - FEW - 1, 0)


def _without(part: ModelPart, model: ModelSpec, left_out: dict[Kind, int]) -> ModelPart:
    """``part`` without so many of its layers of each kind: those before the last are missing."""
    kept: list[int] = []
    for kind, n in left_out.items():
        of_kind = [number for number in part.layers if _kind(model, number) == kind]
        kept += of_kind[: len(of_kind) - n - 1] + of_kind[-1:] if n else of_kind
    return replace(part, layers=tuple(sorted(kept)))


def _difference(more: Counts, less: Counts) -> Counts:
    return _sum(more, less, -1)


def _sum(counts: Counts, other: Counts, times: int) -> Counts:
    """``counts`` and ``times`` the ``other``."""
    values = {}
    for field in fields(Counts):
        mine, theirs = getattr(counts, field.name), getattr(other, field.name)
        if isinstance(mine, Counter):
            values[field.name] = Counter({key: mine[key] + times * theirs[key] for key in mine.keys() | theirs.keys()})
        else:
            values[field.name] = mine + times * theirs
    return Counts(**values)

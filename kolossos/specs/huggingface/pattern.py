"""Layers one by one, said as a ModelSpec says them: the shortest pattern of windows and experts, or kinds of layer."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from kolossos.specs.huggingface.mixing import Mixing
from kolossos.specs.model import USUAL

OneLayer = tuple[Mixing, str, int]
"""How it mixes, its MLP (dense, experts, both, none), and the width of a dense one."""


def period(values: Sequence[Any]) -> list[Any]:
    """The shortest list that, over and over again, gives ``values``."""
    for n in range(1, len(values) + 1):
        if all(value == values[i % n] for i, value in enumerate(values)):
            return list(values[:n])
    return list(values)


def placed(
    layers: list[OneLayer], state: dict[str, Any] | None, ffn_dim: int | None, *, has_experts: bool
) -> dict[str, Any]:
    """Values of a ModelSpec that say where which layers are; ``moe.every`` stands apart as ``every``."""
    chunked = any(mixing.chunked for mixing, _, _ in layers)
    common = {"attn_chunked": True} if chunked else {}
    simple = _simple(layers, ffn_dim, has_experts)
    return common | (simple if simple is not None else _kinds(layers, state, ffn_dim))


def _simple(layers: list[OneLayer], ffn_dim: int | None, has_experts: bool) -> dict[str, Any] | None:
    """Windows in a pattern, dense layers first, experts every so many: what needs no kinds."""
    if any(not m.attention or m.state or m.widths for m, _, _ in layers):
        return None
    if len({width for _, mlp, width in layers if mlp in ("dense", "both")} | {ffn_dim or 0}) > 2:
        return None
    mlps = [mlp for _, mlp, _ in layers]
    values: dict[str, Any] = {}
    windows = [mixing.window for mixing, _, _ in layers]
    if any(windows):
        values["attn_windows"] = tuple(period(windows))
    if has_experts and set(mlps) == {"dense"}:
        return values | {"first_dense_layers": len(layers)}
    if set(mlps) in ({"dense"}, {"both"}, {"experts"}):
        return values
    if set(mlps) != {"dense", "experts"}:
        return None
    first = mlps.index("experts")
    for every in range(1, len(mlps)):
        start = first + 1 - every
        wanted = ["experts" if n >= start and (n - start) % every == every - 1 else "dense" for n in range(len(mlps))]
        if start >= 0 and wanted == mlps:
            return values | {"first_dense_layers": start, "every": every}
    return None


def _kinds(layers: list[OneLayer], state: dict[str, Any] | None, ffn_dim: int | None) -> dict[str, Any]:
    has_experts = any(mlp in ("experts", "both") for _, mlp, _ in layers)
    usual_mlp = "experts" if has_experts else "dense"
    plain = [one for one in layers if _is_usual(one, usual_mlp, ffn_dim)]
    usual = Counter(plain).most_common(1)[0][0] if plain else None
    names: dict[OneLayer, str] = {} if usual is None else {usual: USUAL}
    kinds: list[dict[str, Any]] = []
    for one in layers:
        if one in names:
            continue
        name = base = _name(one, usual_mlp)
        number = 2
        while name in names.values():
            name, number = f"{base}-{number}", number + 1
        names[one] = name
        kinds.append(_kind(name, one, state, ffn_dim))
    return {"layer_kinds": tuple(kinds), "layer_pattern": tuple(period([names[one] for one in layers]))}


def _is_usual(one: OneLayer, mlp: str, ffn_dim: int | None) -> bool:
    mixing, own, width = one
    same = own != "dense" or width == (ffn_dim or 0)
    return mixing.attention and not mixing.state and not mixing.window and not mixing.widths and own == mlp and same


def _name(one: OneLayer, usual_mlp: str) -> str:
    mixing, mlp, _ = one
    if mixing.state:
        name = "hybrid" if mixing.attention else "state"
    elif not mixing.attention:
        return mlp
    else:
        name = "sliding" if mixing.window and not mixing.chunked else "chunked" if mixing.window else "full"
    return name if mlp == usual_mlp else f"{name}-{mlp}" if mlp != "none" else f"{name}-alone"


def _kind(name: str, one: OneLayer, state: dict[str, Any] | None, ffn_dim: int | None) -> dict[str, Any]:
    mixing, mlp, width = one
    values: dict[str, Any] = {"name": name, "mlp": mlp} | {k: v for k, v in mixing.widths if k != "ffn_dim"}
    if "mla" in values:
        values["mla"] = dict(values["mla"])
    if not mixing.attention:
        values["attention"] = False
    if mixing.state:
        values["recurrent"] = state
    if mixing.attention:
        values["window"] = mixing.window
    if mlp in ("dense", "both") and width != (ffn_dim or 0):
        values["ffn_dim"] = width
    return values

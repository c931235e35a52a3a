"""Weights as the kernels read them: panels of a few columns, in fp32, bf16 or int8.

Shapes: M members (experts), O outer, I inner; W columns of a panel, of which a gated pair's half are the gate's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kolossos.serve.engine.native.structs import Matrix
from kolossos.serve.engine.options import Weights

KINDS: dict[Weights, int] = {"fp32": 0, "bf16": 1, "int8": 2}
LARGEST_INT8 = 127
OFFSET = 128  # what the kernels add to int8 activations, which makes them unsigned


class Packer:
    """Packs matrices and keeps what their pointers point to. ``lanes``: of a vector of the kernels."""

    def __init__(self, lanes: int):
        self.lanes, self.width = lanes, 2 * lanes
        self.kept: list[Tensor] = []

    def vector(self, values: Tensor | None) -> int | None:
        """The address of fp32 values; None for None."""
        return None if values is None else self._keep(values.detach().float().contiguous())

    def matrix(self, w_MOI: Tensor, bias_MO: Tensor | None, weights: Weights, gated: bool = False) -> Matrix:
        """Of ``w`` (one member: M = 1). ``gated``: O is twice a width, gate first, and panels hold both."""
        members, outer, inner = w_MOI.shape
        w_MOI = self._in_panels(w_MOI, gated)
        bias_MO = None if bias_MO is None else self._in_panels(bias_MO[..., None], gated)[..., 0]
        panels = w_MOI.shape[1] // self.width
        made = Matrix(
            bias=self.vector(bias_MO),
            inner=inner,
            cols=outer,
            panels=panels,
            kind=KINDS[weights],
            members=members,
        )
        if weights == "int8":
            self._int8(made, w_MOI, panels)
        else:
            packed = w_MOI.view(members, panels, self.width, inner).transpose(2, 3)
            made.weight = self._keep(packed.to(torch.bfloat16 if weights == "bf16" else torch.float32).contiguous())
        return made

    def _in_panels(self, w_MOI: Tensor, gated: bool) -> Tensor:
        """With columns in the order of panels and zeros up to whole ones."""
        w_MOI = w_MOI.detach().float()
        if not gated:
            return _padded(w_MOI, self.width)
        gate, up = (_padded(half, self.lanes) for half in w_MOI.chunk(2, dim=1))
        members, outer, inner = gate.shape
        halves = [half.view(members, outer // self.lanes, 1, self.lanes, inner) for half in (gate, up)]
        return torch.cat(halves, dim=2).reshape(members, 2 * outer, inner)

    def _int8(self, made: Matrix, w_MOI: Tensor, panels: int) -> None:
        members, _, inner = w_MOI.shape
        scale_MO = w_MOI.abs().amax(-1) / LARGEST_INT8
        whole_MOI = (w_MOI / scale_MO.clamp(min=1e-30)[..., None]).round().to(torch.int8)
        padded = F.pad(whole_MOI, (0, -inner % 4))
        fours = padded.view(members, panels, self.width, -1, 4).transpose(2, 3)
        made.weight = self._keep(fours.contiguous())
        made.scale = self.vector(scale_MO)
        made.offset = self._keep(whole_MOI.sum(-1, dtype=torch.int32) * OFFSET)

    def _keep(self, values: Tensor) -> int:
        self.kept.append(values)
        return values.data_ptr()


def _padded(w_MOI: Tensor, multiple: int) -> Tensor:
    return F.pad(w_MOI, (0, 0, 0, -w_MOI.shape[1] % multiple))

"""The whole model on one rank, for what one rank does alone: writing a sample. For models that fit there."""

import torch
import torch.distributed as dist
from torch import Tensor

from kolossos.model.chunks import Held
from kolossos.model.decoder import Decoder
from kolossos.model.held import held_tensor, whole_tensor
from kolossos.parallel.mesh import Meshes
from kolossos.parallel.pipeline import parts_of_rank
from kolossos.specs.layout import Layout


@torch.no_grad()
def whole_model(model: Held, layout: Layout, meshes: Meshes) -> Decoder:
    """A copy of what all ranks together hold; all call this together and each gets it."""
    device = next(model.parameters()).device
    with torch.device("meta"):
        whole = Decoder(model.spec)
    whole.to_empty(device=device)
    here = dict(model.named_parameters())
    group = meshes.ranks["pp"].get_group()
    holders = _stage_of(whole, model, layout, meshes)
    for name, parameter in whole.named_parameters():
        value: Tensor = parameter.detach()
        if holders[name] == meshes.place["pp"]:
            held = here[name].detach()
            value.copy_(whole_tensor(held_tensor(held), held))
        if layout.pp > 1:
            dist.broadcast(value, group_src=holders[name], group=group)
    return whole


def _stage_of(whole: Decoder, model: Held, layout: Layout, meshes: Meshes) -> dict[str, int]:
    """The first stage that holds each parameter."""
    per_stage = layout.world_size // layout.pp
    found: dict[str, int] = {}
    for stage in range(layout.pp):
        for part in parts_of_rank(model.spec, layout, stage * per_stage):
            with torch.device("meta"):
                names = dict(Decoder(model.spec, part).named_parameters())
            for name in names:
                found.setdefault(name, stage)
    assert found.keys() == dict(whole.named_parameters()).keys()
    return found

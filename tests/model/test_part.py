"""A decoder in parts is the whole one: the same names, the same first values, the same results."""

import pytest
import torch
from specs import ALL

from kolossos.model.decoder import Decoder
from kolossos.model.init import initialize
from kolossos.model.part import ModelPart
from kolossos.specs.model import ModelSpec


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_stages_one_after_the_other_compute_what_the_whole_does(spec: ModelSpec) -> None:
    spec = spec.model_copy(update={"n_layers": 5})
    whole = initialize(Decoder(spec), 6)
    parts = (ModelPart((0, 1), first=True), ModelPart((2,)), ModelPart((3, 4), last=True))
    stages = [initialize(Decoder(spec, part), 6) for part in parts]
    everything = whole.state_dict()
    named: dict[str, torch.Tensor] = {}
    for stage in stages:
        assert all(torch.equal(everything[name], value) for name, value in stage.state_dict().items())
        named |= stage.state_dict()
    assert named.keys() == everything.keys()

    tokens = torch.randint(spec.vocab_size, (2, 20), generator=torch.Generator().manual_seed(0))
    expected, routers = whole(tokens)
    x, losses = tokens, []
    for stage in stages:
        x, router = stage(x)
        losses.append(router)
    assert torch.equal(x, expected)
    assert torch.equal(stages[-1].loss(x, tokens), whole.loss(expected, tokens))
    if routers is not None:
        torch.testing.assert_close(sum(r.balance for r in losses), routers.balance)
        torch.testing.assert_close(sum(r.z for r in losses), routers.z)
        assert torch.equal(torch.cat([r.load_LE for r in losses]), routers.load_LE)


def test_layers_are_found_by_their_numbers_in_the_whole() -> None:
    stage = Decoder(ALL[0].model_copy(update={"n_layers": 4}), ModelPart((2, 3)))
    assert [name for name, _ in stage.named_children()] == ["layers"]
    assert list(stage.layers) == [stage.layers[2], stage.layers[3]]
    assert len(stage.layers) == 2
    with pytest.raises(AttributeError):
        stage.layers[0]

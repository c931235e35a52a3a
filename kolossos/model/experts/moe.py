"""The mixture of experts: route, run each expert on its rows, add up. Dropless: no capacity, no padding.

Shapes: N tokens, D dim, R rows sorted by expert.
"""

from torch import Tensor, nn

from kolossos.model.experts.biased import BiasedExperts
from kolossos.model.experts.exchange import Exchange, Rows, nothing_moves
from kolossos.model.experts.gated import Experts
from kolossos.model.experts.routing import FromExperts, GatesToRows, Router, Routing, ToExperts
from kolossos.specs.model import MoESpec


class MixtureOfExperts(nn.Module):
    """[..., D] -> [..., D], and the routing, whose losses and loads the trainer wants.

    ``exchange`` brings rows to the ranks that hold their experts, and results back.
    """

    def __init__(self, dim: int, moe: MoESpec, activation_name: str):
        super().__init__()
        self.router = Router(dim, moe)
        self.experts = (BiasedExperts if moe.bias else Experts)(dim, moe, activation_name)
        self.exchange: Exchange = nothing_moves

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        x_ND = x.flatten(0, -2)
        routing: Routing = self.router(x_ND)
        index = (routing.source_R, routing.row_NC)
        x_RD: Tensor = ToExperts.apply(x_ND, *index)  # type: ignore[assignment]
        gates_R: Tensor = GatesToRows.apply(routing.gates_NC, *index)  # type: ignore[assignment]
        rows, way_home = self.exchange(Rows(x_RD, gates_R, routing.ends_E))
        y_RD = way_home(self.experts(*rows))
        y_ND: Tensor = FromExperts.apply(y_RD, *index)  # type: ignore[assignment]
        return y_ND.view_as(x), routing

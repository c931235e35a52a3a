"""The dense gated MLP: down(act(gate x) * (up x)) (Shazeer, arXiv:2002.05202)."""

from torch import Tensor, nn

from kolossos.model.activation import activation
from kolossos.model.linear import Linear


class GatedMLP(nn.Module):
    """[..., dim] -> [..., dim] through a hidden width of ``hidden_dim``."""

    def __init__(self, dim: int, hidden_dim: int, activation_name: str, bias: bool = False):
        super().__init__()
        self.activation = activation(activation_name)
        self.gate = Linear(dim, hidden_dim, bias)
        self.up = Linear(dim, hidden_dim, bias)
        self.down = Linear(hidden_dim, dim, bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.gate(x)) * self.up(x))

"""AdamW and Muon, both torch's own, behind one face whose state has the names of the parameters.

Muon takes matrices. An expert tensor [E, in, out] is E of them: each is given to torch's Muon as a view, so that the
parameter, its gradient and its momentum stay single tensors, which checkpoints and sharding want.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from kolossos.model.decoder import Decoder
from kolossos.specs.run import OptimizerSpec


class Optimizer:
    """The optimizers of one model. ``state()`` names every tensor that a resumed run needs."""

    def __init__(self, model: Decoder, spec: OptimizerSpec):
        self.spec = spec
        self.parameters = dict(model.named_parameters())
        matrices = {n: p for n, p in self.parameters.items() if spec.name == "muon" and _is_matrix(n, p)}
        rest = {n: p for n, p in self.parameters.items() if n not in matrices}
        self._state: dict[str, Tensor] = {}
        self._adamw = self._make_adamw(rest)
        self._views: list[tuple[nn.Parameter, int, nn.Parameter]] = []
        self._muon = self._make_muon(matrices) if matrices else None

    def step(self, factor: float) -> Tensor:
        """Clip the gradients, update, clear them; the norm before clipping. ``factor`` scales the peak rates."""
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        nn.utils.clip_grads_with_norm_(self.parameters.values(), self.spec.clip_norm, norm)
        for optimizer in (self._adamw, self._muon):
            if optimizer is None:
                continue
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
            if optimizer is self._muon:
                for parameter, expert, view in self._views:
                    view.grad = None if parameter.grad is None else parameter.grad[expert]
            optimizer.step()
        for parameter in self.parameters.values():
            parameter.grad = None
        for _, _, view in self._views:
            view.grad = None
        return norm

    def state(self) -> dict[str, Tensor]:
        """Live tensors of the optimizers' state by name; loading writes into them."""
        return self._state

    def _make_adamw(self, parameters: dict[str, nn.Parameter]) -> torch.optim.AdamW:
        groups = []
        for (lr_factor, decay), members in _groups(parameters, self.spec):
            groups.append({"params": members, "weight_decay": decay, "peak_lr": self.spec.lr * lr_factor})
        betas = (self.spec.beta1, self.spec.beta2)
        optimizer = torch.optim.AdamW(groups, lr=self.spec.lr, betas=betas, eps=self.spec.eps, fused=True)
        for name, parameter in parameters.items():
            optimizer.state[parameter] = {
                "step": self._register(f"{name}.step", torch.zeros((), device=parameter.device)),
                "exp_avg": self._register(f"{name}.exp_avg", torch.zeros_like(parameter, requires_grad=False)),
                "exp_avg_sq": self._register(f"{name}.exp_avg_sq", torch.zeros_like(parameter, requires_grad=False)),
            }
        return optimizer

    def _make_muon(self, parameters: dict[str, nn.Parameter]) -> torch.optim.Muon:
        momenta: dict[nn.Parameter, Tensor] = {}
        for name, parameter in parameters.items():
            momentum = self._register(f"{name}.momentum_buffer", torch.zeros_like(parameter, requires_grad=False))
            if parameter.ndim == 2:
                momenta[parameter] = momentum
                continue
            for expert in range(parameter.shape[0]):
                view = nn.Parameter(parameter.data[expert])
                self._views.append((parameter, expert, view))
                momenta[view] = momentum[expert]
        optimizer = torch.optim.Muon(
            list(momenta), lr=self.spec.muon_lr, momentum=self.spec.momentum, weight_decay=self.spec.weight_decay
        )
        optimizer.param_groups[0]["peak_lr"] = self.spec.muon_lr
        for matrix, momentum in momenta.items():
            optimizer.state[matrix]["momentum_buffer"] = momentum
        return optimizer

    def _register(self, name: str, tensor: Tensor) -> Tensor:
        self._state[name] = tensor
        return tensor


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Muon's share: hidden matrices. Embedding, output and router stay with AdamW (Keller Jordan, 2024)."""
    return parameter.ndim >= 2 and not name.startswith(("embedding", "output")) and "router" not in name


def _groups(
    parameters: dict[str, nn.Parameter], spec: OptimizerSpec
) -> Iterator[tuple[tuple[float, float], list[nn.Parameter]]]:
    """Parameters by (factor on the learning rate, weight decay): vectors do not decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        factor = spec.embedding_lr_factor if name.startswith(("embedding", "output")) else 1.0
        key = (factor, spec.weight_decay if parameter.ndim >= 2 else 0.0)
        groups.setdefault(key, []).append(parameter)
    yield from groups.items()

"""AdamW (torch's own) and Muon behind one face whose state has the names of the parameters.

Muon takes matrices. An expert tensor [E, in, out] is E of them; it stays one parameter with one momentum, which
checkpoints and sharding want.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from kolossos.model.chunks import Held
from kolossos.model.held import is_traced, mesh_of
from kolossos.parallel.sums import clip, total_norm
from kolossos.specs.run import OptimizerSpec
from kolossos.train.muon import Muon


class Optimizer:
    """The optimizers of one model. ``state()`` names every tensor that a resumed run needs.

    products: dtype of Muon's iterations, that of the model's products.
    """

    def __init__(self, model: Held, spec: OptimizerSpec, *, products: torch.dtype = torch.float32):
        self.spec, self._copies = spec, model.copies
        self._products = products
        self.parameters = dict(model.named_parameters())
        matrices = {n: p for n, p in self.parameters.items() if spec.name == "muon" and _is_matrix(n, p)}
        rest = {n: p for n, p in self.parameters.items() if n not in matrices}
        self._state: dict[str, Tensor] = {}
        self._adamw = self._make_adamw(rest)
        self._muon = self._make_muon(matrices) if matrices else None

    def step(self, factor: float, allowed: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Clip the gradients, update, clear them; their norm over all ranks, before clipping.

        ``factor`` scales the peak rates. Parameters and state stay untouched where ``allowed`` says no to the norm, on
        every rank, for all see the same norm (on a GPU this waits for it).
        """
        norm = total_norm([p.grad for n, p in self.parameters.items() if p.grad is not None and n not in self._copies])
        if allowed is None or is_traced(norm) or allowed(norm):
            self._update(factor, norm)
        for parameter in self.parameters.values():
            parameter.grad = None
        return norm

    def _update(self, factor: float, norm: Tensor) -> None:
        # clipping is a pass over the gradients that a short norm does not need; but a GPU would have to be waited for
        if norm.is_cuda or is_traced(norm) or not norm <= self.spec.clip_norm:
            clip([p.grad for p in self.parameters.values() if p.grad is not None], self.spec.clip_norm, norm)
        for group in self._adamw.param_groups:
            group["lr"] = group["peak_lr"] * factor
        self._adamw.step()
        if self._muon is not None:
            self._muon.step(factor)

    def state(self) -> dict[str, Tensor]:
        """Live tensors of the optimizers' state by name; loading writes into them."""
        return self._state

    def _make_adamw(self, parameters: dict[str, nn.Parameter]) -> torch.optim.AdamW:
        groups = []
        for (lr_factor, decay, _), members in _groups(parameters, self.spec):
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

    def _make_muon(self, parameters: dict[str, nn.Parameter]) -> Muon:
        momenta = [
            self._register(f"{name}.momentum_buffer", torch.zeros_like(parameter, requires_grad=False))
            for name, parameter in parameters.items()
        ]
        spec = self.spec
        parameter_list = list(parameters.values())
        return Muon(
            parameter_list,
            momenta,
            spec.muon_lr,
            momentum=spec.momentum,
            weight_decay=spec.weight_decay,
            products=self._products,
        )

    def _register(self, name: str, tensor: Tensor) -> Tensor:
        self._state[name] = tensor
        return tensor


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Muon's share: hidden matrices. Embedding, output and router stay with AdamW (Keller Jordan, 2024)."""
    named = name.startswith(("embedding", "output")) or "router" in name or name.endswith("bias")
    return parameter.ndim >= 2 and not named


def _groups(
    parameters: dict[str, nn.Parameter], spec: OptimizerSpec
) -> Iterator[tuple[tuple[float, float, object], list[nn.Parameter]]]:
    """Parameters by (factor on the learning rate, weight decay, mesh that holds them): vectors, biases do not decay."""
    groups: dict[tuple[float, float, object], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        factor = spec.embedding_lr_factor if name.startswith(("embedding", "output")) else 1.0
        decay = spec.weight_decay if parameter.ndim >= 2 and not name.endswith("bias") else 0.0
        key = (factor, decay, mesh_of(parameter))
        groups.setdefault(key, []).append(parameter)
    yield from groups.items()

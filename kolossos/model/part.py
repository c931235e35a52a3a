"""A part of a decoder, as a pipeline stage holds it, under the names that it has in the whole."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from kolossos.specs.model import ModelSpec


@dataclass(frozen=True)
class ModelPart:
    """Some layers by their global numbers; the first part has the embedding, the last the final norm and the output."""

    layers: tuple[int, ...]
    first: bool = False
    last: bool = False

    @classmethod
    def whole(cls, spec: ModelSpec) -> "ModelPart":
        """All layers, embedding, norm and output."""
        return cls(tuple(range(spec.n_layers)), first=True, last=True)


class Layers(nn.Module):
    """Layers in order, each under its global number: names are the keys of checkpoints and the seeds of values."""

    def __init__(self, layers: Iterable[tuple[int, nn.Module]]):
        super().__init__()
        for number, layer in layers:
            self.add_module(str(number), layer)

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self._modules.values())  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, number: int) -> nn.Module:
        """The layer with this global number."""
        return self.get_submodule(str(number))

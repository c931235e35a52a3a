"""Several parts of one decoder on one rank (interleaved pipelines), under the names that they have in the whole."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from kolossos.model.decoder import Decoder


class Chunks(nn.Module):
    """Parts in order of their layers. Names, state and settings are those of a decoder; a pipeline runs them."""

    def __init__(self, parts: Sequence[Decoder]):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.spec, self.cut = parts[0].spec, parts[0].cut

    @property
    def copies(self) -> frozenset[str]:
        """As `Decoder.copies`."""
        return frozenset().union(*(part.copies for part in decoders_of(self)))

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        for part in self.parts:
            yield from part.named_parameters(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        return {name: value for part in self.parts for name, value in part.state_dict(*args, **kwargs).items()}


Held = Decoder | Chunks
"""What one rank holds of a model."""


def decoders_of(model: Held) -> list[Decoder]:
    """The parts that ``model`` is made of; a decoder is one."""
    return [model] if isinstance(model, Decoder) else list(model.parts)  # type: ignore[arg-type]

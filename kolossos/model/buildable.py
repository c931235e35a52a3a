"""Which ModelSpecs the network can build: a spec describes more than that, for planning."""

from kolossos.errors import InputError
from kolossos.specs.model import ModelSpec


def obstacles(spec: ModelSpec) -> list[str]:
    """The features of ``spec`` that `kolossos.model.decoder.Decoder` does not have; empty if it can be built."""
    moe = spec.moe
    found = {
        "latent attention ([mla])": spec.mla is not None,
        "a plain MLP of two matrices (gated_mlp = false)": not spec.gated_mlp,
        "shared experts (moe.shared_dim)": moe is not None and moe.shared_dim is not None,
        "dense first layers (first_dense_layers)": moe is not None and spec.first_dense_layers > 0,
        "layers without experts in between (moe.every)": moe is not None and moe.every > 1,
        "clamped_swiglu but in experts with biases": spec.activation == "clamped_swiglu"
        and (spec.ffn_dim is not None or moe is None or not moe.bias),
    }
    return [feature for feature, present in found.items() if present]


def require_buildable(spec: ModelSpec) -> None:
    """Raise InputError, naming each feature, if the network cannot build ``spec``."""
    if found := obstacles(spec):
        raise InputError(
            f"model {spec.name!r} can be planned and simulated, but not trained or served yet: "
            f"the network has no {', no '.join(found)}"
        )

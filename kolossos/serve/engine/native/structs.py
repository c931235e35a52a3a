"""The C++ side's structures, field for field as in products.h and decoder.cpp."""

import ctypes

pointer, whole, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float


class Matrix(ctypes.Structure):
    """Packed weights; ``weight`` None: there is no such matrix."""

    _fields_ = [
        *((name, pointer) for name in ("weight", "bias", "scale", "offset")),
        *((name, whole) for name in ("inner", "cols", "panels", "kind", "members")),
    ]


NORMS = ("attention_norm", "attention_post_norm", "ffn_norm", "ffn_post_norm", "query_norm", "key_norm")
MATRICES = ("qkv", "output", "mlp_in", "mlp_down", "router", "experts_in", "experts_down")


class Layer(ctypes.Structure):
    """One layer's weights."""

    _fields_ = [
        *((name, pointer) for name in (*NORMS, "sinks")),
        *((name, Matrix) for name in MATRICES),
        ("window", whole),
    ]


class Shape(ctypes.Structure):
    """Sizes and factors of a ModelSpec."""

    _fields_ = [
        *(
            (name, whole)
            for name in (
                *("n_layers", "dim", "heads", "kv_heads", "head_dim", "vocab", "top_k", "n_experts", "activation"),
                *("norm_whole", "renormalize", "biased", "context", "pages"),
            )
        ),
        *(
            (name, real)
            for name in (
                *("eps", "attention_scale", "attention_softcap", "router_softcap", "branch_scale"),
                *("embedding_multiplier", "output_multiplier", "output_softcap"),
            )
        ),
    ]


class Model(ctypes.Structure):
    """A decoder with its pools."""

    _fields_ = [
        ("shape", Shape),
        *((name, pointer) for name in ("layers", "final_norm", "embedding")),
        ("head", Matrix),
        *((name, pointer) for name in ("cos", "sin", "temperature", "keys", "values")),
    ]


class Pass(ctypes.Structure):
    """What one call works on: `kolossos.serve.engine.batch.Batch` and where the results go."""

    _fields_ = [
        *((name, whole) for name in ("tokens", "sequences", "outputs", "table_width")),
        *((name, pointer) for name in ("ids", "positions", "firsts", "tables", "wanted", "logits", "hidden")),
    ]

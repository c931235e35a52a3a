"""How long one kernel takes on one GPU, from its shape: matrix products and attention.

    matmul_seconds("h100", m=8192, n=32768, k=6144)
    attention_seconds("h100", batch=1, q_len=8192, kv_len=8192, n_heads=48, n_kv_heads=8, head_dim=128)

Every argument that is a size may be an array; all are broadcast together. The coefficients lie in `coefficients/`, one
TOML file a card, written by `benchmarks/fit_kernels.py` with their source and their error on rows the fit did not see.
They stand for kernels timed alone at boost clock; `clock_scale` below one slows what runs on the core clock.
"""

from kolossos.plan.kernels.attention import attention_seconds, windowed_attention_seconds
from kolossos.plan.kernels.matmul import matmul_seconds

__all__ = ["attention_seconds", "matmul_seconds", "windowed_attention_seconds"]

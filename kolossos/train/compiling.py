"""torch.compile where it pays: each layer on its own, for all layers are the same program and compile once."""

import shutil
import sys

import torch
import torch._functorch.config

from kolossos.errors import InputError
from kolossos.model.chunks import Held, decoders_of
from kolossos.model.loss import chunk_loss


def compiler_missing(device: torch.device) -> str | None:
    """Why torch.compile cannot work here, or None if it can."""
    if sys.platform == "win32":
        return "torch.compile is not supported on this platform"
    if device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        return "no C++ compiler (g++ or clang++) was found"
    return None


def compile_training(model: Held, mode: str, device: torch.device) -> str:
    """Compile the layers and the loss in place if ``mode`` (auto, on, off) and machine allow it; says what was done.

    The embedding stays outside: compiled, its gradient would be summed by several threads in changing order.
    """
    missing = compiler_missing(device)
    if mode == "off":
        return "off"
    if missing:
        if mode == "on":
            raise InputError(f"compute.compile = 'on', but {missing}; use 'auto' or 'off'")
        return f"off: {missing}"
    # What an element-wise pass can make again from what is kept anyway need not be kept itself, even if a product wants
    # it in backward: rounded weights, normed inputs, the gated hidden layer. A third of the activations, for no time.
    torch._functorch.config.ban_recompute_materialized_backward = False
    key_cache_by_vector_width()
    for part in decoders_of(model):
        for layer in part.layers:
            layer.compile(dynamic=False)
        if part.part.last:
            part.norm.compile(dynamic=False)
        part.chunk_loss = torch.compile(chunk_loss, dynamic=False)
    return "on"


def key_cache_by_vector_width() -> None:
    """Make the width of this processor's vectors a part of the key under which the compiler keeps a graph.

    Its cache does not ask for which instruction set a graph was made: one for other vectors, left there by another
    processor or under another ATEN_CPU_CAPABILITY, writes past the ends of its buffers.
    """
    # Loaded here, for it takes a second which only who compiles shall wait.
    import torch._inductor.config
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    torch._inductor.config.cpp.simdlen = pick_vec_isa().bit_width()

"""A `Decoder`'s weights given to the kernels, which then do its passes without it."""

import ctypes
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor, nn

from kolossos.model.attention.rotary import attention_temperature, rotary_tables
from kolossos.model.decoder import Decoder
from kolossos.model.experts.moe import MixtureOfExperts
from kolossos.serve.engine.batch import PAGE, Batch
from kolossos.serve.engine.native.library import load_library
from kolossos.serve.engine.native.packing import Packer
from kolossos.serve.engine.native.structs import NORMS, Layer, Matrix, Model, Pass, Shape
from kolossos.serve.engine.options import Weights
from kolossos.specs.model import ModelSpec

ACTIVATIONS = {"silu": 0, "gelu_tanh": 1, "clamped_swiglu": 2}
WORDS_OF_LANES = {16: "AVX-512", 8: "AVX2", 4: "portable"}


class NativeDecoder:
    """A `Network` in C++. ``threads`` share the columns of a product, which changes no bit."""

    def __init__(
        self,
        model: Decoder,
        pages: int,
        *,
        weights: Weights = "fp32",
        threads: int = 1,
        say: Callable[[str], None] = lambda _: None,
        target: tuple[str, ...] = ("-march=native",),
    ):
        """Takes the weights out of ``model``, layer by layer, so that they are never held twice: it is empty then.

        Raises:
            NoCompiler: no kernels for this machine. InputError: from the model.
        """
        self._library = load_library(say, target)
        self._library.kolossos_work.restype = ctypes.c_void_p
        for name in ("kolossos_lanes", "kolossos_page", "kolossos_value_width"):
            getattr(self._library, name).restype = ctypes.c_int64
        assert self._library.kolossos_page() == PAGE
        lanes = self._library.kolossos_lanes()
        self.spec, self.pages = model.spec, pages
        self.vocab_size, self.context = model.spec.vocab_size, model.spec.max_seq_len
        self._packer = Packer(lanes)
        self._weights: Weights = weights
        self.use_threads(threads)
        self._layers = (Layer * self.spec.n_layers)()
        self._model = Model(shape=_shape(self.spec, pages))
        self._fill(model)
        self._work = self._library.kolossos_work()

    def __del__(self) -> None:
        """Give back what the passes used."""
        if getattr(self, "_work", None):
            self._library.kolossos_done(ctypes.c_void_p(self._work))

    def forward(self, batch: Batch, hidden: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Network`."""
        self._choose_threads()
        logits = np.empty((len(batch.wanted), self.vocab_size), dtype=np.float32)
        states = np.empty((len(batch.ids), self.spec.dim), dtype=np.float32) if hidden else None
        arrays = {name: getattr(batch, name) for name in ("ids", "positions", "firsts", "tables", "wanted")}
        call = Pass(
            tokens=len(batch.ids),
            sequences=len(batch.firsts) - 1,
            outputs=len(batch.wanted),
            table_width=batch.tables.shape[1],
            logits=logits.ctypes.data,
            hidden=None if states is None else states.ctypes.data,
            **{name: array.ctypes.data for name, array in arrays.items()},
        )
        self._library.kolossos_forward(ctypes.byref(self._model), ctypes.byref(call), ctypes.c_void_p(self._work))
        return logits, states

    def use_threads(self, threads: int) -> None:
        """From the next pass on."""
        self.threads = threads
        self._threads_of: int | None = None
        self.kind = (
            f"{self._weights}, {threads} thread{'s' if threads > 1 else ''}, {WORDS_OF_LANES[self._packer.lanes]}"
        )

    def forget(self, pages: Sequence[int]) -> None:
        """See `Network`."""
        for pool in (self._keys, self._values):
            pool[:, list(pages)] = 0.0

    def _choose_threads(self) -> None:
        """OpenMP's number is a thread's own: told again wherever another thread does the passes."""
        if self._threads_of != threading.get_ident():
            self._library.kolossos_threads(ctypes.c_int64(self.threads))
            self._threads_of = threading.get_ident()

    def _fill(self, model: Decoder) -> None:
        spec, pack = self.spec, self._packer
        for number, layer in enumerate(model.layers):
            self._layers[number] = self._layer(layer, spec.window_of(number))
            _empty(layer)
            give_back_memory()
        self._model.layers = ctypes.addressof(self._layers)
        self._model.final_norm = pack.vector(model.norm.weight)
        self._model.head = pack.matrix(model.output_weight[None], None, self._weights)
        self._model.embedding = None if model.output is None else pack.vector(model.embedding.weight)
        cos, sin = rotary_tables(spec, torch.arange(self.context)[None])
        self._model.cos, self._model.sin = pack.vector(cos.flatten(0, 2)), pack.vector(sin.flatten(0, 2))
        temperature = attention_temperature(spec, torch.arange(self.context)[None])
        self._model.temperature = pack.vector(None if temperature is None else temperature.flatten())
        _empty(model)
        give_back_memory()
        wide = self._library.kolossos_value_width(ctypes.byref(self._model.shape))
        size = (spec.n_layers, self.pages, spec.n_kv_heads)
        self._keys = np.zeros((*size, spec.head_dim, PAGE), dtype=np.float32)  # memory is taken when it is written
        self._values = np.zeros((*size, PAGE, wide), dtype=np.float32)
        self._model.keys, self._model.values = self._keys.ctypes.data, self._values.ctypes.data

    def _layer(self, layer: nn.Module, window: int) -> Layer:
        pack, attention, moe, mlp = self._packer, layer.attention, layer.moe, layer.mlp
        made = Layer(window=window, sinks=pack.vector(attention.sinks))  # type: ignore[union-attr, arg-type]
        for name in NORMS:
            owner = attention if name in ("query_norm", "key_norm") else layer
            norm = getattr(owner, name)
            setattr(made, name, pack.vector(None if norm is None else norm.weight))
        three = [attention.query, attention.key, attention.value]  # type: ignore[union-attr]
        made.qkv = self._stacked(three)  # type: ignore[arg-type]
        made.output = self._stacked([attention.output])  # type: ignore[union-attr, list-item]
        if mlp is not None:
            made.mlp_in = self._stacked([mlp.gate, mlp.up], gated=True)  # type: ignore[union-attr, list-item]
            made.mlp_down = self._stacked([mlp.down])  # type: ignore[union-attr, list-item]
        if isinstance(moe, MixtureOfExperts):
            self._experts(made, moe)
        return made

    def _stacked(self, parts: Sequence[nn.Module], gated: bool = False) -> Matrix:
        weight = torch.cat([part.weight for part in parts])  # type: ignore[misc]
        biases = [part.bias for part in parts]
        bias = None if biases[0] is None else torch.cat(biases)[None]  # type: ignore[arg-type]
        return self._packer.matrix(weight[None], bias, self._weights, gated)

    def _experts(self, made: Layer, moe: MixtureOfExperts) -> None:
        pack, router, experts = self._packer, moe.router, moe.experts
        biased = router.bias is not None
        made.router = pack.matrix(router.weight[None], router.bias[None] if biased else None, "fp32")  # type: ignore[index]
        both = torch.cat((experts.gate, experts.up), dim=-1).transpose(1, 2)
        bias = torch.cat((experts.gate_bias, experts.up_bias), dim=-1) if biased else None  # type: ignore[list-item]
        made.experts_in = pack.matrix(both, bias, self._weights, gated=True)  # type: ignore[arg-type]
        down_bias: Tensor | None = experts.down_bias if biased else None  # type: ignore[assignment]
        made.experts_down = pack.matrix(experts.down.transpose(1, 2), down_bias, self._weights)


def give_back_memory() -> None:
    """What was freed, to the system: glibc keeps it, and a model's worth is much."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _empty(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.data = torch.empty(0)


def _shape(spec: ModelSpec, pages: int) -> Shape:
    moe = spec.moe
    return Shape(
        n_layers=spec.n_layers,
        dim=spec.dim,
        heads=spec.n_heads,
        kv_heads=spec.n_kv_heads,
        head_dim=spec.head_dim,
        vocab=spec.vocab_size,
        top_k=moe.top_k if moe else 0,
        n_experts=moe.n_experts if moe else 0,
        activation=ACTIVATIONS[spec.activation],
        norm_whole=spec.qk_norm == "whole",
        renormalize=bool(moe and moe.renormalize),
        biased=bool(moe and moe.bias),
        context=spec.max_seq_len,
        pages=pages,
        eps=spec.norm_eps,
        attention_scale=spec.attention_scale,
        attention_softcap=spec.attn_softcap or 0.0,
        router_softcap=(moe.router_softcap if moe else None) or 0.0,
        branch_scale=spec.branch_scale,
        embedding_multiplier=spec.embedding_multiplier,
        output_multiplier=spec.output_multiplier,
        output_softcap=spec.output_softcap or 0.0,
    )

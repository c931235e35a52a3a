"""The passes of the engine against the decoder itself, for every family; and rows whose bits are their own."""

from collections.abc import Callable
from pathlib import Path

import huggingface_specs
import numpy as np
import pytest
import specs
import torch
from test_huggingface_families import CASES, SIZES

from kolossos.model.decoder import Decoder
from kolossos.model.huggingface.config import spec_from_huggingface
from kolossos.serve.engine.batch import Batch, Network, Part
from kolossos.serve.engine.build import require_exact
from kolossos.serve.engine.native.decoder import NativeDecoder
from kolossos.serve.engine.native.library import NoCompiler, load_library
from kolossos.serve.engine.tiled import TiledDecoder
from kolossos.specs.model import ModelSpec

LENGTH = 40
IDS = np.random.default_rng(0).integers(0, 96, LENGTH).tolist()
TARGETS = {"AVX2": ("-mavx2", "-mfma"), "no vectors named": ()}


def spec_of(family: str) -> ModelSpec:
    transformers = pytest.importorskip("transformers")
    name, change, _ = CASES[family]
    config = getattr(transformers, f"{name}Config")(**(SIZES | change)).to_dict()
    return spec_from_huggingface(config | {"architectures": [f"{name}ForCausalLM"]})


def random_model(spec: ModelSpec, generator: int = 1) -> Decoder:
    """Random values in every parameter: norms, biases and sinks begin as constants."""
    model, numbers = huggingface_specs.model_of(spec), torch.Generator().manual_seed(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=numbers))
    return model


def logits_of(model: Decoder) -> np.ndarray:
    with torch.no_grad():
        return model.logits(model(torch.tensor([IDS]))[0])[0].numpy()


def native(model: Decoder, pages: int = 12, **options) -> NativeDecoder:
    try:
        return NativeDecoder(model, pages, **options)
    except NoCompiler as reason:
        pytest.skip(str(reason))


def at_once(network: Network) -> np.ndarray:
    return network.forward(Batch.of([Part(IDS, 0, [7, 2, 9], range(LENGTH))]))[0]


def in_pieces_and_company(network: Network) -> np.ndarray:
    """The same rows from a prompt in pieces and single tokens, between other sequences."""
    others = [Part(IDS[5:25], 0, [3, 4], [19]), Part(IDS[:3], 0, [5], [0, 2])]
    made = []
    for start, end in [(0, 7), (7, 30), *((at, at + 1) for at in range(30, LENGTH))]:
        part = Part(IDS[start:end], start, [1, 0, 6], range(end - start))
        logits, _ = network.forward(Batch.of([others[start % 2], part, others[0]][: 2 + end % 2]))
        first = len(others[start % 2].wanted)
        made.append(logits[first : first + end - start])
    return np.concatenate(made)


FAMILIES: dict[str, Callable[[], ModelSpec]] = {
    **{spec.name: lambda spec=spec: spec for spec in specs.ALL},
    **{name: lambda spec=spec: spec for name, spec in huggingface_specs.OURS.items()},
    **{name: lambda name=name: spec_of(name) for name in CASES},
}
WITH_FLEX = ("grok-1-like", "gpt-oss", "gemma2")
"""With a cap, with sinks, with windows: what a GPU does, by FlexAttention's slow form for a processor."""


@pytest.mark.parametrize("family", FAMILIES)
def test_passes_give_the_decoders_logits_and_bits_that_depend_on_no_company(family: str) -> None:
    spec = FAMILIES[family]()
    wanted = logits_of(random_model(spec))
    scale = np.abs(wanted).max()
    networks: list[Network] = [native(random_model(spec)), TiledDecoder(random_model(spec), 12)]
    if family in WITH_FLEX:
        networks.append(TiledDecoder(random_model(spec), 12, flex=True))
    for network in networks:
        made = at_once(network)
        assert np.abs(made - wanted).max() <= 2e-5 * scale, network.kind
        assert np.array_equal(in_pieces_and_company(network), made), network.kind
        require_exact(network)


@pytest.mark.parametrize("weights", ["bf16", "int8"])
@pytest.mark.parametrize("spec", specs.ALL, ids=lambda spec: spec.name)
def test_smaller_weights_are_those_of_a_model_that_was_rounded(spec: ModelSpec, weights: str) -> None:
    rounded = random_model(spec)
    wanted = logits_of(rounded)
    kept = ["norm", "router", "bias", "sinks", *([] if spec.tied_embeddings else ["embedding"])]
    if weights == "bf16":
        for name, parameter in rounded.named_parameters():
            if not any(part in name for part in kept):
                parameter.data = parameter.data.bfloat16().float()
        wanted = logits_of(rounded)
    network = native(random_model(spec), weights=weights)
    made = at_once(network)
    bound = 2e-5 if weights == "bf16" else 0.25  # activations are rounded to eight bits, too
    assert np.abs(made - wanted).max() <= bound * np.abs(wanted).max()
    assert np.array_equal(in_pieces_and_company(network), made)


def test_int8_products_are_the_exact_sums_of_rounded_rows_and_columns() -> None:
    """One dense layer's first product, taken apart: per-row and per-column scales, whole numbers in between."""
    from kolossos.serve.engine.native.packing import Packer

    try:
        lanes = load_library().kolossos_lanes()
    except NoCompiler as reason:
        pytest.skip(str(reason))
    packer, weight = Packer(lanes), torch.randn(37, 30, generator=torch.Generator().manual_seed(2))
    matrix = packer.matrix(weight[None], None, "int8")
    packed, scale, offset = packer.kept
    panels = -(-37 // (2 * lanes))
    assert (matrix.inner, matrix.cols, matrix.panels) == (30, 37, panels)
    columns = packed[0].transpose(1, 2).reshape(panels * 2 * lanes, -1)[:37, :30]
    assert torch.equal(columns.float(), (weight / scale[0, :37, None]).round())
    assert torch.equal(offset[0, :37], 128 * columns.sum(1, dtype=torch.int32))
    assert (columns.float() * scale[0, :37, None] - weight).abs().max() <= scale.max() / 2 * 1.001


def has_avx2() -> bool:
    try:
        return "avx2" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("target", ["AVX2", pytest.param("no vectors named", marks=pytest.mark.slow)])
def test_kernels_for_other_processors_compute_the_same(target: str) -> None:
    if target == "AVX2" and not has_avx2():
        pytest.skip("this processor has no AVX2")
    spec = specs.ALL[1]
    wanted = logits_of(random_model(spec))
    network = native(random_model(spec), target=TARGETS[target])
    whole = native(random_model(spec), target=TARGETS[target], weights="int8")
    assert np.abs(at_once(network) - wanted).max() <= 2e-5 * np.abs(wanted).max()
    here = native(random_model(spec), weights="int8")
    for made in (network, whole):
        assert np.array_equal(in_pieces_and_company(made), at_once(made))
    assert np.abs(at_once(whole) - at_once(here)).max() <= 1e-4 * np.abs(wanted).max()


def test_threads_change_no_bit() -> None:
    made = [at_once(native(random_model(specs.ALL[1]), threads=threads)) for threads in (1, 2, 3)]
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2])


def test_a_network_that_is_not_exact_is_refused() -> None:
    from kolossos.errors import InputError

    class Careless(TiledDecoder):
        def forward(self, batch: Batch, hidden: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
            logits, states = super().forward(batch, hidden)
            return logits * (1 + 1e-7 * len(batch.ids)), states

    with pytest.raises(InputError, match="depend on the other requests"):
        require_exact(Careless(random_model(specs.ALL[0]), 12))


@pytest.mark.slow
@pytest.mark.parametrize("family", WITH_FLEX)
def test_compiled_layers_give_the_same_and_are_as_exact(family: str) -> None:
    """As a GPU has them."""
    spec = FAMILIES[family]()
    network = TiledDecoder(random_model(spec), 12, compiled=True)
    alone = at_once(network)
    np.testing.assert_allclose(alone, logits_of(random_model(spec)), atol=2e-4, rtol=1e-4)
    assert np.array_equal(alone, in_pieces_and_company(network))

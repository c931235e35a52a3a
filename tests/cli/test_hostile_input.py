"""Whatever a file or a flag holds: an answer in finite numbers, or one line that says what was wrong."""

import copy
import json
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kolossos.cli.main import app
from kolossos.errors import InputError
from kolossos.plan.answer.record import answer_record
from kolossos.plan.answer.request import PlanRequest, answer_question, read_request
from kolossos.specs.catalogue import CATALOGUE, load_gpu, load_model
from kolossos.specs.counts import count_parameters, training_flops_per_token
from kolossos.specs.strict import read_toml

CONFIGS = json.loads((Path(__file__).parents[1] / "specs/data/decoder_configs.json").read_text(encoding="utf-8"))
CONFIGS.pop("_about")
PRIME = 999_999_937
ODD = [
    math.nan, math.inf, -math.inf, 0, -1, 1, 2, 7, 1e30, 1e-300, -1e300, 10**20, 2**63, 10**400, PRIME, 0.5, True,
    False, None, "", "x", "1", "nan", "é\u202e\0", "x" * 3000, "../../etc", [], {}, [[]], [1], {"a": 1}, [None],
]  # fmt: skip
STRANGE = st.one_of(
    st.sampled_from(ODD), st.integers(), st.floats(), st.text(max_size=8), st.integers(-4, 4096), st.just(["conv"])
)
CLUSTER = tomllib.loads("""
name = "c"
[[pools]]
gpu = "h100"
count = 16
gpus_per_node = 8
nvlink_domain = 8
usd_per_gpu_hour = 2.0
[fabric]
kind = "infiniband"
nic_bytes_per_s = 5e10
oversubscription = 1.0
efficiency = 0.9
latency_s = 1e-5
pod_gpus = 16
[power]
pue = 1.2
host_watts_per_gpu = 200.0
usd_per_kwh = 0.1
gco2_per_kwh = 300.0
site_limit_watts = 1e6
""")
MODEL = tomllib.loads("""
n_layers = 4
dim = 256
n_heads = 4
n_kv_heads = 2
head_dim = 64
vocab_size = 1000
max_seq_len = 4096
ffn_dim = 512
attn_windows = [128, 0]
layer_pattern = ["a", "usual"]
moe = { n_experts = 8, top_k = 2, expert_dim = 128, shared_dim = 64 }
[[layer_kinds]]
name = "a"
attention = false
recurrent = { kind = "mamba-2", n_heads = 4, n_key_heads = 1, key_dim = 16, value_dim = 64 }
""")
LAYOUT = "tp=2,pp=2,dp_shard=4,micro_batch_size=1"
AXES = ("tp", "pp", "vp", "cp", "ep", "etp", "dp_shard", "dp_replicate", "micro_batch_size", "seq_len", "x")
ON_64 = ["--cluster", "dgx-h100-64"]
FLAGS = {
    "plan": "tokens gpus layout seq-len global-batch global-batch-tokens precision objective software cluster",
    "simulate": "days tokens step-time tokens-per-step spares checkpoint-interval policy set failures grow",
    "models": "json",
}
SOUND = {
    "plan": ["llama3-8b", *ON_64, "--layout", LAYOUT],
    "simulate": ["llama3-8b", *ON_64, *["--step-time", "5", "--spares", "1", "--replicates", "1", "--days", "1"]],
    "models": [],
}


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The ways to everything in a nested value."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in [(*path, key), *places(inner, (*path, key))]]
    if isinstance(value, list):
        return [found for i, inner in enumerate(value[:3]) for found in [(*path, i), *places(inner, (*path, i))]]
    return []


@st.composite
def damaged(draw, sound: dict[str, Any], also: tuple[str, ...] = ()) -> dict[str, Any]:
    """A sound table with one to three values put in another's place, taken away, or added."""
    value = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, 3))):
        here = places(value)
        path = draw(st.sampled_from([*here, *((key,) for key in also)] or [("a",)]))
        inner = value
        for key in path[:-1]:
            inner = inner[key]
        if draw(st.booleans()) and draw(st.booleans()) and isinstance(inner, dict):
            inner.pop(path[-1], None)
        else:
            inner[path[-1]] = copy.deepcopy(draw(STRANGE))
    return value


def one_line(work: Callable[[], Any]) -> Any:
    """What ``work`` returns; None where it refuses its input in one line."""
    said = ""
    try:
        return work()
    except InputError as error:
        said = str(error)
    assert said
    assert "\n" not in said.strip()
    assert len(said) < 4000
    return None


def as_toml(value: dict[str, Any]) -> str | None:
    """TOML of a table; None for what TOML cannot hold."""
    try:
        return tomli_w.dumps(value)
    except (TypeError, ValueError, AttributeError):
        return None


def assert_finite(record: Any) -> None:
    json.dumps(record, allow_nan=False, default=str)


def read_config(config: Any, folder: Path) -> None:
    path = folder / "config.json"
    path.write_bytes(config if isinstance(config, bytes) else json.dumps(config).encode())
    if (spec := one_line(lambda: load_model(str(path)))) is not None:
        assert count_parameters(spec).total > 0
        assert math.isfinite(training_flops_per_token(spec, spec.max_seq_len))
        assert_finite(spec.model_dump())


def plan(folder: Path, model: str, cluster: str, **asked: Any) -> None:
    request = PlanRequest(**{"model": model, "cluster": cluster, "tokens": 1e12, **asked})
    answer = one_line(lambda: answer_question(read_request(request)))
    if answer is not None:
        assert_finite(answer_record(answer, []))


def read_toml_file(name: str, value: dict[str, Any], folder: Path) -> str | None:
    text = as_toml(value)
    if text is None:
        return None
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def assert_answered_or_refused(case: str, data: st.DataObject, folder: Path) -> None:
    """One input of one kind: a number, or one line; whatever else comes fails in the helpers that this calls."""
    plain = {"layout": "tp=1,dp_shard=8,micro_batch_size=1", "global_batch": 8}
    if case == "config.json":
        entry = CONFIGS[data.draw(st.sampled_from(sorted(CONFIGS)))]["config"]
        also = ("num_experts", "layer_types", "text_config", "kv_lora_rank")
        read_config(data.draw(damaged(entry, also)), folder)
    elif case == "bytes":
        deep = st.sampled_from([b"[" * 5000, b'{"a":' * 3000, b"\xff\xfe{\0}\0", b"1" * 5000])
        read_config(data.draw(st.one_of(st.binary(max_size=64), deep)), folder)
    elif case == "model":
        if path := read_toml_file("m.toml", data.draw(damaged(MODEL)), folder):
            plan(folder, path, "dgx-h100-64", **plain)
    elif case == "cluster":
        if path := read_toml_file("c.toml", data.draw(damaged(CLUSTER)), folder):
            plan(folder, "tiny-moe", path, **plain)
    elif case == "gpu":
        if path := read_toml_file("g.toml", data.draw(damaged(read_toml(CATALOGUE / "gpus" / "h100.toml"))), folder):
            one_line(lambda: load_gpu(path))
            cluster = {"name": "c", "pools": [{"gpu": path, "count": 8}]}
            plan(folder, "tiny-moe", str(read_toml_file("c.toml", cluster, folder)), layout="tp=1,micro_batch_size=1")
    elif case == "layout":
        axes = [f"{data.draw(st.sampled_from(AXES))}={data.draw(STRANGE)}" for _ in range(data.draw(st.integers(1, 4)))]
        plan(folder, "llama3-8b", "dgx-h100-64", layout=",".join(axes))
    elif case == "request":
        plan(folder, "tiny-dense", "dgx-h100-64", layout=LAYOUT, **numbers(data))
    else:
        flags(data)


def numbers(data: st.DataObject) -> dict[str, Any]:
    """Numbers of a request, of the types that the command line makes of them."""
    drawn = {name: data.draw(STRANGE) for name in ("tokens", "seq_len", "global_batch", "global_batch_tokens")}
    given = {k: v for k, v in drawn.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    whole = {
        k: int(v)
        for k, v in given.items()
        if k in ("seq_len", "global_batch") and not (isinstance(v, float) and not math.isfinite(v))
    }
    return whole | {k: float(v) for k, v in given.items() if "tokens" in k and abs(v) < 1e308}


def flags(data: st.DataObject) -> None:
    """A sound command line with one flag more."""
    command = data.draw(st.sampled_from(sorted(FLAGS)))
    flag = "--" + data.draw(st.sampled_from(FLAGS[command].split()))
    words = [command, *SOUND[command], *([] if flag == "--json" else [flag]), str(data.draw(STRANGE)), "--json"]
    result = CliRunner().invoke(app, [word.replace("\0", "0") for word in words])
    error = result.exception
    assert error is None or isinstance(error, SystemExit | InputError), repr(error)
    if error is None and result.stdout.strip().startswith("{"):
        json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


CASES = ("config.json", "bytes", "model", "cluster", "gpu", "layout", "request", "flags")
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=60, **QUIET)
@given(data=st.data())
def test_any_input_is_answered_or_refused_in_one_line(case: str, data: st.DataObject, tmp_path_factory) -> None:
    assert_answered_or_refused(case, data, tmp_path_factory.mktemp("fuzz"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=2500, **QUIET)
@given(data=st.data())
def test_twenty_thousand_inputs_are(case: str, data: st.DataObject, tmp_path_factory) -> None:
    assert_answered_or_refused(case, data, tmp_path_factory.mktemp("fuzz"))

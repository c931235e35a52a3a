"""`kolossos serve` as typed, on a folder in the Hugging Face layout: it answers, measures, refuses and ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch

from kolossos.data.tokenizer import Tokenizer
from kolossos.model.decoder import Decoder
from kolossos.model.huggingface import export_huggingface
from kolossos.model.init import initialize
from kolossos.specs.model import ModelSpec, MoESpec

SERVE = [sys.executable, "-m", "kolossos", "serve"]
WAIT_S = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("served")
    tokenizer = Tokenizer.train(["the quick brown fox jumps over the lazy dog " * 20], 300)
    tokenizer.save(made / "tokenizer.json")
    spec = ModelSpec(
        name="tiny",
        n_layers=2,
        dim=32,
        n_heads=4,
        n_kv_heads=2,
        head_dim=8,
        vocab_size=tokenizer.vocab_size,
        max_seq_len=128,
        moe=MoESpec(n_experts=4, top_k=2, expert_dim=24, renormalize=True),
    )
    export_huggingface(initialize(Decoder(spec), 3).eval(), made / "tiny", made / "tokenizer.json", dtype="float32")
    return made / "tiny"


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    server = subprocess.Popen(
        [*SERVE, str(folder), "--port", "0", "--json", "--threads", "1"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield json.loads(server.stdout.readline())["address"]
        server.send_signal(signal.SIGTERM)
        assert server.wait(WAIT_S) == 0
    finally:
        server.kill()


def test_it_answers_with_the_models_own_probabilities_and_ends_when_told(address: str, folder: Path) -> None:
    from kolossos.serve.load import load_weights

    prompt = [5, 9, 200, 17, 3]
    body = {"model": "tiny", "prompt": prompt, "max_tokens": 0, "echo": True, "logprobs": 1}
    found = httpx.post(f"{address}v1/completions", json=body, timeout=WAIT_S).json()["choices"][0]["logprobs"]
    model, _ = load_weights(folder, None, print)
    with torch.no_grad():
        logprobs = model.logits(model(torch.tensor([prompt]))[0])[0].log_softmax(-1)
    wanted = [float(logprobs[n, token]) for n, token in enumerate(prompt[1:])]
    assert found["token_logprobs"][0] is None
    assert found["token_logprobs"][1:] == pytest.approx(wanted, abs=1e-4)

    asked = {"model": "tiny", "messages": [{"role": "user", "content": "the quick"}], "seed": 4, "max_tokens": 9}
    answers = [httpx.post(f"{address}v1/chat/completions", json=asked, timeout=WAIT_S).json() for _ in range(2)]
    assert answers[0]["choices"] == answers[1]["choices"]
    page = httpx.get(address)
    assert page.headers["content-type"].startswith("text/html")
    assert httpx.get(f"{address}health/ready").status_code == 200


def test_it_measures_in_place_of_serving(folder: Path) -> None:
    words = ["--bench", "200", "--bench-requests", "6", "--bench-prompt", "20", "--bench-new", "4", "--json"]
    done = subprocess.run([*SERVE, str(folder), "--threads", "1", *words], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    assert (measured["answered"], measured["refused"], measured["failed"]) == (6, 0, 0)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--weights", "fp4"], "weights 'fp4': expected fp32, bf16, int8"),
        (["--context", "4000"], "the model was made for 128 tokens"),
        (["--memory", "0.001"], "keys and values"),
        (["--host", "0.0.0.0"], "file of keys"),
        (["--bench", "-1"], "rate -1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(words: list[str], part: str, folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KOLOSSOS_API_KEYS"}
    done = subprocess.run([*SERVE, str(folder), *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert part in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr

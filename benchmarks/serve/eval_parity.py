"""Whether lm-eval over HTTP gives the bits per byte that the decoder gives in process, on the same held-out texts.

    python benchmarks/serve/eval_parity.py FOLDER MODEL_FOLDER VALIDATION_TEXT

FOLDER: where `clients/run.sh` put lm-eval. MODEL_FOLDER: in the Hugging Face layout, whose tokenizer both read.
VALIDATION_TEXT: a text file, such as validation.txt of prepared data; a few pieces of it are scored as documents. Exit
code 1 if the two differ by more than a hundred-thousandth.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import typer

PIECES, CHARACTERS, TOLERANCE = 24, 900, 1e-5
TASK = """\
task: held_out
dataset_path: json
dataset_kwargs:
  data_files: {test: FILE}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: bits_per_byte}
"""


def pieces(text: str) -> list[str]:
    """Some of the text, cut at ends of lines."""
    found, lines = [""], text.splitlines(keepends=True)
    for line in lines:
        if len(found[-1]) > CHARACTERS:
            found.append("")
        found[-1] += line
    step = max(1, len(found) // PIECES)
    return [piece for piece in found[::step] if piece.strip()][:PIECES]


def in_process(folder: Path, texts: list[str]) -> float:
    """Bits per byte of each text after the end token, which stands before a document."""
    import torch

    from kolossos.serve.load import load_weights

    model, tokenizer = load_weights(folder, None, print)
    nats = 0.0
    with torch.inference_mode():
        for text in texts:
            ids = torch.tensor([[tokenizer.eos_id, *tokenizer.encode(text)]])
            logprobs = model.logits(model(ids[:, :-1])[0])[0].double().log_softmax(-1)
            nats -= float(logprobs.gather(1, ids[0, 1:, None]).sum())
    return nats / math.log(2) / sum(len(text.encode()) for text in texts)


def over_http(peers: Path, base: str, model: str, folder: Path, texts: list[str]) -> float:
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        (here / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        (here / "held_out.yaml").write_text(TASK.replace("FILE", str(here / "texts.jsonl")))
        options = f"model={model},base_url={base}v1/completions,tokenizer={folder},num_concurrent=8,max_retries=1"
        command = [str(peers / "clients/bin/lm_eval"), "--model", "local-completions", "--model_args", options]
        command += ["--tasks", "held_out", "--include_path", place, "--output_path", str(here / "out")]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(here / "cache")}
        environment["OPENAI_API_KEY"] = "none"
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        found = list((here / "out").rglob("results*.json"))
        if not found:
            raise SystemExit(done.stderr[-2000:])
        return json.loads(found[0].read_text())["results"]["held_out"]["bits_per_byte,none"]


def main(peers: Path, folder: Path, text: Path) -> None:
    """Score both ways and compare."""
    texts = pieces(text.read_text(encoding="utf-8", errors="ignore"))
    command = [sys.executable, "-m", "kolossos", "serve", str(folder), "--port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        started = json.loads(server.stdout.readline())
        http = over_http(peers, started["address"], started["model"], folder, texts)
    finally:
        server.terminate()
        server.wait(60)
    here = in_process(folder, texts)
    print(f"{len(texts)} texts: lm-eval over HTTP {http:.7f}, in process {here:.7f} bits per byte")
    raise typer.Exit(code=int(abs(http - here) > TOLERANCE))


if __name__ == "__main__":
    typer.run(main)

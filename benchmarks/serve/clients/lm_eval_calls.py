"""lm-eval over HTTP on a small task made here: it must finish with a score. `lm_eval_calls.py BASE MODEL FOLDER`

FOLDER: the model's, for its tokenizer. lm-eval sends token ids with echo and log-probabilities.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tally import Tally, check

TASK = """\
task: small_choice
dataset_path: json
dataset_kwargs:
  data_files: {validation: FILE}
validation_split: validation
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
QUESTIONS = [
    {"question": f"Count: {n}, {n + 1}, {n + 2},", "choices": [f" {n + 3}", f" {n * 7}"], "answer": 0}
    for n in range(12)
]


def run(base: str, model: str, tokenizer: str) -> bool | dict:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        file = place / "questions.jsonl"
        file.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
        (place / "small_choice.yaml").write_text(TASK.replace("FILE", str(file)))
        options = f"model={model},base_url={base}/completions,tokenizer={tokenizer},num_concurrent=4,max_retries=1"
        command = [
            str(Path(sys.executable).parent / "lm_eval"),
            "--model",
            "local-completions",
            "--tasks",
            "small_choice",
        ]
        command += ["--model_args", options, "--include_path", folder, "--output_path", str(place / "out")]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(place / "cache")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        found = list((place / "out").rglob("results*.json"))
        if done.returncode or not found:
            return {"exit code": done.returncode, "said": done.stderr[-400:]}
        score = json.loads(found[0].read_text())["results"]["small_choice"]["acc,none"]
        print(f"  accuracy {score}")
        return check(scored=0 <= score <= 1)


def main() -> int:
    tally = Tally("lm-eval")
    tally.call("local-completions on twelve questions", lambda: run(*sys.argv[1:4]))
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())

"""vLLM's own loop in this process, stepped by hand as `LLM.generate` does it, so that every token is heard of."""

import os
from pathlib import Path

from clock import Clock
from contest import BATCHES, CACHE_GIB

os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine in this process, so that its CPU seconds are this process's
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": str(CACHE_GIB),
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
import torch
import vllm  # pyright: ignore[reportMissingImports]
from vllm import LLM, SamplingParams  # pyright: ignore[reportMissingImports]
from vllm.inputs import TokensPrompt  # pyright: ignore[reportMissingImports]

CONTEXT = 2048


class Vllm:
    def __init__(self, folder: Path) -> None:
        self.version = f"{vllm.__version__}, torch {torch.__version__}"
        llm = LLM(
            str(folder),
            dtype="float32",
            enforce_eager=True,
            max_model_len=CONTEXT,
            max_num_seqs=max(BATCHES),
            disable_log_stats=True,
        )
        self.engine = llm.llm_engine
        self.n = 0

    def answer(self, prompts: list[list[int]], new: int, clock: Clock) -> None:
        wanted = SamplingParams(temperature=0.0, max_tokens=new, ignore_eos=True, detokenize=False)
        rows: dict[str, int] = {}
        for row, prompt in enumerate(prompts):
            self.n += 1
            rows[str(self.n)] = row
            self.engine.add_request(str(self.n), TokensPrompt(prompt_token_ids=prompt), wanted)
        while self.engine.has_unfinished_requests():
            for output in self.engine.step():
                row = rows[output.request_id]
                for token in output.outputs[0].token_ids[len(clock.tokens[row]) :]:
                    clock.heard(row, token)


def start(folder: Path, setting: str) -> Vllm:
    return Vllm(folder)

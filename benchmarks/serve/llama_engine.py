"""llama.cpp by the low-level calls of llama-cpp-python: one batch for all rows, the likeliest token of each."""

from pathlib import Path

import llama_cpp  # pyright: ignore[reportMissingImports]
import numpy as np
from clock import Clock

PROMPT_BATCH, PASS = 2048, 512  # llama.cpp's own usual sizes


class Llama:
    """A context is made for each answer, of the size that it needs; that is not timed."""

    def __init__(self, file: Path) -> None:
        self.version = llama_cpp.__version__
        llama_cpp.llama_log_set(SILENT, None)
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_model_default_params()
        settings.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(str(file).encode(), settings)
        if not self.model:
            raise RuntimeError(f"{file}: llama.cpp cannot read it")
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def answer(self, prompts: list[list[int]], new: int, clock: Clock) -> None:
        rows = len(prompts)
        context = self.context(rows, max(map(len, prompts)) + new)
        batch = llama_cpp.llama_batch_init(PROMPT_BATCH, 0, 1)
        clock.restart()
        try:
            newest = self.read_prompts(context, batch, prompts)
            for n in range(new):
                for row, token in enumerate(newest):
                    clock.heard(row, token)
                if n + 1 < new:
                    fill(batch, [(token, len(prompts[row]) + n, row, True) for row, token in enumerate(newest)])
                    self.decode(context, batch)
                    newest = [self.likeliest(context, row) for row in range(rows)]
        finally:
            llama_cpp.llama_batch_free(batch)
            llama_cpp.llama_free(context)

    def context(self, rows: int, tokens: int):
        settings = llama_cpp.llama_context_default_params()
        settings.n_seq_max = rows
        settings.n_ctx = rows * (-(-tokens // 256) * 256)
        settings.n_batch, settings.n_ubatch = PROMPT_BATCH, PASS
        settings.n_threads = settings.n_threads_batch = 1
        settings.no_perf = True
        context = llama_cpp.llama_init_from_model(self.model, settings)
        if not context:
            raise RuntimeError(f"llama.cpp makes no context of {settings.n_ctx} tokens")
        return context

    def read_prompts(self, context, batch, prompts: list[list[int]]) -> list[int]:
        """The first token of every answer; as many whole prompts at once as a batch holds."""
        first: list[int] = []
        together = max(1, PROMPT_BATCH // max(map(len, prompts)))
        for start in range(0, len(prompts), together):
            part = prompts[start : start + together]
            cells = [
                (token, place, start + row, place + 1 == len(prompt))
                for row, prompt in enumerate(part)
                for place, token in enumerate(prompt)
            ]
            fill(batch, cells)
            self.decode(context, batch)
            first += [self.likeliest(context, i) for i, cell in enumerate(cells) if cell[3]]
        return first

    def decode(self, context, batch) -> None:
        code = llama_cpp.llama_decode(context, batch)
        if code:
            raise RuntimeError(f"llama_decode says {code}")

    def likeliest(self, context, place: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(context, place)
        return int(np.ctypeslib.as_array(logits, (self.vocab_size,)).argmax())


@llama_cpp.llama_log_callback
def SILENT(level, text, data) -> None:
    """llama.cpp says much."""


def fill(batch, cells: list[tuple[int, int, int, bool]]) -> None:
    """Token, position, row, and whether logits are wanted, of every place of the batch."""
    batch.n_tokens = len(cells)
    for i, (token, position, row, wanted) in enumerate(cells):
        batch.token[i], batch.pos[i] = token, position
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, row
        batch.logits[i] = wanted


def start(folder: Path, setting: str) -> Llama:
    return Llama(folder.parent / f"{folder.name}-{setting}.gguf")

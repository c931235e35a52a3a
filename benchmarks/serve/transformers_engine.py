"""`generate` of transformers, with the cache that grows or the static one."""

from pathlib import Path

import torch
import transformers
from clock import Clock
from transformers import AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList

transformers.utils.logging.disable_progress_bar()


class Transformers:
    def __init__(self, folder: Path, cache: str) -> None:
        self.version = f"{transformers.__version__}, torch {torch.__version__}"
        torch.set_num_threads(1)
        self.cache = None if cache == "dynamic" else cache
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.model.generation_config.eos_token_id = None
        self.model.generation_config.pad_token_id = 0

    def answer(self, prompts: list[list[int]], new: int, clock: Clock) -> None:
        tokens = torch.tensor(prompts)
        self.model.generate(  # pyright: ignore[reportAttributeAccessIssue]
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=new,
            cache_implementation=self.cache,
            stopping_criteria=StoppingCriteriaList([Hears(clock)]),
        )


class Hears(StoppingCriteria):
    """Stops nothing; it is asked after every step."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:  # type: ignore[override]
        for row, token in enumerate(input_ids[:, -1].tolist()):
            self.clock.heard(row, token)
        return torch.zeros(len(input_ids), dtype=torch.bool)


def start(folder: Path, setting: str) -> Transformers:
    return Transformers(folder, setting)

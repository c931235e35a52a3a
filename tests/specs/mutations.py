"""Configurations with one key changed or added, and what transformers' own network of them holds.

`changed` is deterministic in its seed; `network_size` builds on the meta device, in a fraction of a second.
"""

import copy
import json
import os
import random
from dataclasses import dataclass
from typing import Any

from kolossos.specs.huggingface.leftovers import WITHOUT_SHAPE

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
FAMILIES = (
    "llama", "mistral", "mixtral", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next", "qwen3_5_text",
    "olmo2", "olmo3", "olmoe", "gemma2", "gemma3_text", "deepseek_v3", "glm4", "glm4_moe", "gpt_oss", "cohere2",
    "exaone4", "minimax_m2", "granite", "granitemoehybrid", "bamba", "falcon_h1", "jamba", "smollm3", "starcoder2",
    "stablelm", "seed_oss", "ernie4_5_moe", "arcee", "apertus", "gpt2", "gpt_neox",
)  # fmt: skip
"""Of those that transformers knows here."""


@dataclass(frozen=True)
class Changed:
    family: str
    key: str
    value: Any
    config: dict[str, Any]


def default_config(family: str) -> dict[str, Any] | None:
    """config.json of the class's own defaults, with everything spelt out; None if transformers has no such class."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if family not in CONFIG_MAPPING:
        return None
    made = CONFIG_MAPPING[family]()
    return json.loads(made.to_json_string(use_diff=False)) | {"architectures": [class_name(family)]}


def class_name(family: str) -> str:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    names = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family]
    return names if isinstance(names, str) else names[0]


def network_size(family: str, config: dict[str, Any]) -> int:
    """Parameters of the network of ``config``; any error of transformers if it cannot be built."""
    import torch
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    without = ("architectures", "transformers_version", "model_type")
    made = CONFIG_MAPPING[family](**{k: v for k, v in config.items() if k not in without})
    with torch.device("meta"):
        network = getattr(transformers, class_name(family))._from_config(made)
    return sum(p.numel() for p in network.parameters())


def changed(number: int, seed: int) -> list[Changed]:
    """``number`` configurations, each with one key doubled, halved, raised, switched, or taken from another class."""
    draw = random.Random(seed)
    configs = {family: config for family in FAMILIES if (config := default_config(family)) is not None}
    numbers = {f: [k for k, v in c.items() if _of_shape(k, v)] for f, c in configs.items()}
    others: dict[str, list[Any]] = {}
    for family, names in numbers.items():
        for key in names:
            others.setdefault(key, []).append(configs[family][key])
    made = []
    while len(made) < number:
        family = draw.choice(sorted(configs))
        config = copy.deepcopy(configs[family])
        if draw.random() < 0.6:
            key = draw.choice(numbers[family])
            value = config[key]
            config[key] = not value if isinstance(value, bool) else draw.choice([2 * value, value // 2 or 1, value + 8])
        else:
            key = draw.choice(sorted(others))
            config[key] = draw.choice(others[key])
        if config[key] != configs[family].get(key):
            made.append(Changed(family, key, config[key], config))
    return made


def _of_shape(key: str, value: Any) -> bool:
    return isinstance(value, (int, bool)) and not WITHOUT_SHAPE.search(key)

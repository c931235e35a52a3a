"""transformers' network of a config.json, on the meta device."""

from typing import Any

import pytest
import torch


def network_of(config: dict[str, Any]) -> torch.nn.Module:
    transformers = pytest.importorskip("transformers")
    text = config.get("text_config")
    values = {k: v for k, v in (text or config).items() if k != "model_type"}
    kind = (text or config)["model_type"]
    made = transformers.AutoConfig.for_model("deepseek_v3" if kind == "kimi_k2" else kind, **values)
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(made, attn_implementation="eager")

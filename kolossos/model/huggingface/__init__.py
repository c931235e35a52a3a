"""Weights out to and in from folders in the Hugging Face layout: config.json, safetensors, tokenizer.

layouts.py: which layout holds which model
config.py: config.json both ways
names.py: the names of the tensors, and what part of which parameter each holds
export.py: a folder written whole or not at all
load.py: a folder read, or one clear line about what does not fit

The rotary halves lie as transformers has them, so nothing is permuted.
"""

from kolossos.model.huggingface.config import spec_from_huggingface
from kolossos.model.huggingface.export import export_huggingface
from kolossos.model.huggingface.load import load_huggingface

__all__ = ["export_huggingface", "load_huggingface", "spec_from_huggingface"]

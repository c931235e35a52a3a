"""A Hugging Face config.json as a ModelSpec, for planning: the shape of a model, whoever trained it.

One reader for each convention of the file (`shape`, `experts`, `mixing`, `states`, `rotary`), and a table of what
classes fix in their code (`classes`). What a ModelSpec does not hold is named in ``not_priced``; what would make its
numbers wrong is refused. Loading weights is stricter, for there nothing may be left out: `kolossos.model.huggingface`.
"""

from kolossos.specs.huggingface.file import CONFIG_FILE, read_huggingface
from kolossos.specs.huggingface.mixing import FULL, SLIDING
from kolossos.specs.huggingface.read import spec_from_config
from kolossos.specs.huggingface.shape import ACTIVATIONS

__all__ = ["ACTIVATIONS", "CONFIG_FILE", "FULL", "SLIDING", "read_huggingface", "spec_from_config"]

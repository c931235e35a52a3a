"""Texts as vectors, by any folder with a sentence-embedding model: BERT and its like, mean or first-token pooling.

A folder in the layout of sentence-transformers says how it pools, how many tokens it reads and what it wants before a
question or a passage; a plain folder of transformers is read with mean pooling. Weights are read from safetensors
alone, and no code of a folder is run.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kolossos.errors import InputError

if TYPE_CHECKING:
    import torch

BATCH_TOKENS = 4096  # padded tokens in one pass of the network
MAX_TOKENS = 512  # where a folder does not say how many it was trained on
NEEDED = ("config.json", "tokenizer.json", "model.safetensors")


@dataclass(frozen=True)
class Settings:
    """What a folder says of its use."""

    pooling: str  # mean | first
    max_tokens: int
    query_prompt: str
    passage_prompt: str


class Embedder:
    """A model in memory. Vectors are float32 of length 1 (of a text without a token: 0), shape [texts, dimensions].

    Attributes:
        folder: where it was read from.
        identity: a hash of its files; vectors of two identities cannot be compared.
        dimensions: numbers in a vector.
    """

    def __init__(self, folder: Path | str) -> None:
        """Read the model in ``folder``; InputError if there is none that can be used."""
        self.folder = Path(folder)
        self._settings = read_settings(self.folder)
        self.identity = identity_of(self.folder)
        transformers, self._torch = _libraries()
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True)
            self._network = transformers.AutoModel.from_pretrained(
                str(self.folder), local_files_only=True, use_safetensors=True, trust_remote_code=False
            ).eval()
        except Exception as error:  # whatever transformers finds wrong with a folder, of whatever kind
            message = " ".join(str(error).split())[:200]
            raise InputError(f"{self.folder} is no embedding model that transformers reads: {message}") from None
        self.dimensions = int(self._network.config.hidden_size)
        limit = getattr(self._network.config, "max_position_embeddings", MAX_TOKENS)
        self._max_tokens = min(self._settings.max_tokens, limit)

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of questions. One is computed on one thread: several would spend more on waiting for each other."""
        threads = self._torch.get_num_threads()
        if len(texts) == 1:
            self._torch.set_num_threads(1)
        try:
            return self._vectors([self._settings.query_prompt + text for text in texts])
        finally:
            self._torch.set_num_threads(threads)

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of what is searched."""
        return self._vectors([self._settings.passage_prompt + text for text in texts])

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        made = np.zeros((len(texts), self.dimensions), np.float32)
        if not texts:
            return made
        tokens = self._tokenizer(list(texts), truncation=True, max_length=self._max_tokens)["input_ids"]
        for rows in _batches([len(ids) for ids in tokens]):
            made[rows] = self._pass([tokens[row] for row in rows])
        return made

    def _pass(self, tokens: list[list[int]]) -> np.ndarray:
        torch = self._torch
        longest = max(map(len, tokens))
        ids_BS = torch.zeros((len(tokens), longest), dtype=torch.long)
        mask_BS = torch.zeros((len(tokens), longest), dtype=torch.long)
        for row, ids in enumerate(tokens):
            ids_BS[row, : len(ids)] = torch.tensor(ids)
            mask_BS[row, : len(ids)] = 1
        with torch.inference_mode():
            states_BSD = self._network(input_ids=ids_BS, attention_mask=mask_BS).last_hidden_state
            pooled_BD = self._pool(states_BSD, mask_BS)
            return torch.nn.functional.normalize(pooled_BD.float(), dim=-1).numpy()

    def _pool(self, states_BSD: "torch.Tensor", mask_BS: "torch.Tensor") -> "torch.Tensor":
        if self._settings.pooling == "first":
            return states_BSD[:, 0]
        weights_BS1 = mask_BS[..., None].to(states_BSD.dtype)
        return (states_BSD * weights_BS1).sum(1) / weights_BS1.sum(1)


def read_settings(folder: Path) -> Settings:
    """How the model in ``folder`` is to be used; InputError where a file is missing or pools in another way."""
    for name in NEEDED:
        if not (folder / name).is_file():
            raise InputError(
                f"{folder} holds no {name}; an embedding model is a folder with {', '.join(NEEDED)}, as "
                f"sentence-transformers saves it"
            )
    pooling = _json(folder / "1_Pooling" / "config.json")
    ways = {key.removeprefix("pooling_mode_") for key, on in pooling.items() if key.startswith("pooling_mode_") and on}
    if isinstance(named := pooling.get("pooling_mode"), str):
        ways = {named}
    if not ways <= {"mean", "mean_tokens", "cls", "cls_token"} or len(ways) > 1:
        raise InputError(f"{folder} pools by {', '.join(sorted(ways))}; mean and the first token (cls) can be used")
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts")
    prompts = prompts if isinstance(prompts, dict) else {}
    max_tokens = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    return Settings(
        pooling="first" if ways & {"cls", "cls_token"} else "mean",
        max_tokens=max_tokens if isinstance(max_tokens, int) and max_tokens > 0 else MAX_TOKENS,
        query_prompt=str(prompts.get("query") or ""),
        passage_prompt=str(prompts.get("passage") or prompts.get("document") or ""),
    )


def identity_of(folder: Path) -> str:
    """A hash of what decides the vectors of a folder's model."""
    digest = hashlib.sha256()
    for name in (*NEEDED, "1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        if (path := folder / name).is_file():
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def _json(path: Path) -> dict[str, Any]:
    """A file of settings; nothing if it is absent."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); save the model again") from None
    return found if isinstance(found, dict) else {}


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Rows of texts of like length, each batch of at most BATCH_TOKENS padded tokens (or one text)."""
    rows: list[int] = []
    for row in sorted((row for row, length in enumerate(lengths) if length), key=lambda row: lengths[row]):
        if rows and (len(rows) + 1) * lengths[row] > BATCH_TOKENS:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _libraries() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError:
        raise InputError("vectors need transformers: pip install 'kolossos[ground]'") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers, torch

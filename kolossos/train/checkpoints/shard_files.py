"""One rank's file: safetensors, written as a stream and hashed on the way; read by torch into any sharding.

The layout is that of https://github.com/huggingface/safetensors#format, with the offsets of shards where torch's own
Hugging Face writer puts them (``DCP_SHARDING_INFO``), so that either reads the other's. torch's writer builds the
whole file in memory and its reader needs a local path; these stream, and take any store.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from torch import Tensor
from torch.distributed.checkpoint import metadata as dcp_metadata
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem
from torch.distributed.checkpoint.storage import StorageReader
from torch.futures import Future

from kolossos.stores import Store
from kolossos.train.checkpoints.staging import Shard

SUFFIX = ".safetensors"
SHARDING = "DCP_SHARDING_INFO"
BLOCK_BYTES = 8 << 20
MAX_HEADER_BYTES = 100 << 20  # as in safetensors
DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
}
NAME_OF_DTYPE = {dtype: name for name, dtype in DTYPES.items()}


def write_shards(file: BinaryIO, shards: Sequence[Shard]) -> dict[str, Any]:
    """Write ``shards`` as one safetensors file; returns its ``bytes`` and ``sha256``. One shard of a name a file."""
    ordered = sorted(shards, key=lambda shard: (-shard.tensor.element_size(), shard.name))  # each is aligned
    header: dict[str, Any] = {
        "__metadata__": {
            "format": "pt",
            SHARDING: json.dumps({s.name: {"saved_offsets": s.offsets, "shape": s.shape} for s in ordered}),
        }
    }
    end = 0
    for shard in ordered:
        begin, end = end, end + shard.tensor.nbytes
        header[shard.name] = {
            "dtype": NAME_OF_DTYPE[shard.tensor.dtype],
            "shape": list(shard.tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    written = 0
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as beside:
        for block in _blocks(len(text).to_bytes(8, "little") + text, ordered):
            hashed = beside.submit(digest.update, block)  # while it is written
            file.write(block)
            hashed.result()
            written += len(block)
    return {"bytes": written, "sha256": digest.hexdigest()}


def _blocks(head: bytes, shards: Sequence[Shard]) -> Iterator[bytes | memoryview]:
    yield head
    for shard in shards:
        content = shard.tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data
        for start in range(0, len(content), BLOCK_BYTES):
            yield content[start : start + BLOCK_BYTES]


@dataclass(frozen=True)
class _Place:
    """Where a shard lies: its file, the first byte in it, and what it is."""

    file: str
    begin: int
    shape: tuple[int, ...]
    dtype: torch.dtype


class ShardReader(StorageReader):
    """Reads the files of a checkpoint for ``torch.distributed.checkpoint.load``: of each only the bytes it needs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._places: dict[tuple[str, tuple[int, ...]], _Place] = {}

    def read_metadata(self, *args: Any, **kwargs: Any) -> dcp_metadata.Metadata:
        """What tensors there are and how they are cut; ValueError for a tensor of which a part is missing."""
        found: dict[str, dcp_metadata.TensorStorageMetadata] = {}
        for file in (name for name in self._store.names() if name.endswith(SUFFIX)):
            begin, header = self._header(file)
            sharding = json.loads(header.pop("__metadata__", {}).get(SHARDING, "{}"))
            for name, entry in header.items():
                shape, dtype = tuple(entry["shape"]), DTYPES[entry["dtype"]]
                known = sharding.get(name, {})
                offsets = tuple(known.get("saved_offsets", (0,) * len(shape)))
                self._places[name, offsets] = _Place(file, begin + entry["data_offsets"][0], shape, dtype)
                chunk = dcp_metadata.ChunkStorageMetadata(torch.Size(offsets), torch.Size(shape))
                ends = [offset + size for offset, size in zip(offsets, shape, strict=True)]
                whole = torch.Size(known.get("shape", ends))
                if name not in found:
                    properties = dcp_metadata.TensorProperties(dtype=dtype)
                    found[name] = dcp_metadata.TensorStorageMetadata(properties, whole, [])
                found[name].chunks.append(chunk)
                found[name].size = torch.Size(map(max, found[name].size, whole))
        for name, tensor in found.items():
            if sum(math.prod(chunk.sizes) for chunk in tensor.chunks) != math.prod(tensor.size):
                raise ValueError(f"{name} is not whole in it")
        return dcp_metadata.Metadata(state_dict_metadata=dict(found))

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Fill the tensors that ``planner`` asks for."""
        by_file: dict[str, list[ReadItem]] = {}
        for item in plan.items:
            by_file.setdefault(self._place(item).file, []).append(item)
        for name, items in by_file.items():
            with self._store.open(name) as file:
                for item in sorted(items, key=lambda item: self._place(item).begin):
                    target = planner.resolve_tensor(item).detach()
                    target.copy_(_read_block(file, self._place(item), item))
                    planner.commit_tensor(item, target)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _place(self, item: ReadItem) -> _Place:
        index = item.storage_index
        return self._places[index.fqn, tuple(index.offset or ())]

    def _header(self, file_name: str) -> tuple[int, dict[str, Any]]:
        """Where the tensors begin, and what the file says of them."""
        with self._store.open(file_name) as file:
            length = int.from_bytes(_read(file, 8), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"{file_name} is no safetensors file")
            return 8 + length, json.loads(_read(file, length))

    def reset(self, checkpoint_id: Any = None) -> None:
        self._places = {}

    def set_up_storage_reader(
        self, metadata: dcp_metadata.Metadata, is_coordinator: bool, *args: Any, **_: Any
    ) -> None:
        pass

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        return True


def _read_block(file: BinaryIO, place: _Place, item: ReadItem) -> Tensor:
    """The block ``item`` asks for of a stored shard; whole rows are read and the rest cut off."""
    if not place.shape:
        file.seek(place.begin)
        return _tensor(_read(file, place.dtype.itemsize), place.dtype).reshape(())
    first, rows = item.storage_offsets[0], item.lengths[0]
    row_bytes = math.prod(place.shape[1:]) * place.dtype.itemsize
    file.seek(place.begin + first * row_bytes)
    block = _tensor(_read(file, rows * row_bytes), place.dtype).reshape(rows, *place.shape[1:])
    for dim in range(1, len(place.shape)):
        block = block.narrow(dim, item.storage_offsets[dim], item.lengths[dim])
    return block


def _tensor(content: bytearray, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)


def _read(file: BinaryIO, n_bytes: int) -> bytearray:
    content = bytearray(n_bytes)
    view, done = memoryview(content), 0
    while done < n_bytes:
        got = file.readinto(view[done:])  # pyright: ignore[reportAttributeAccessIssue]
        if not got:
            raise OSError("a file of the checkpoint ends early")
        done += got
    return content

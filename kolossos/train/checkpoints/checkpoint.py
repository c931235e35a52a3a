"""One checkpoint in a store: whether it is as it was written, and its tensors."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from torch import Tensor

from kolossos.errors import InputError
from kolossos.stores import Store
from kolossos.train.checkpoints.ranks import ALONE, Ranks
from kolossos.train.checkpoints.shard_files import ShardReader

MANIFEST = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was committed."""

    store: Store
    step: int

    @property
    def folder(self) -> Path | str:
        """Its folder, or its URL if it is not on this machine."""
        return self.store.local or self.store.place

    def damage(self, ranks: Ranks = ALONE) -> str | None:
        """What is wrong with its files, or None. Each of ``ranks`` reads a part of them, and all hear the same.

        Raises:
            InputError: a store elsewhere does not answer, which says nothing about the checkpoint.
        """
        found = ranks.gather(self._damage_in_share(ranks.rank, ranks.world))
        if lost := next((reason for _, reason in found if reason), None):
            raise InputError(f"{self.store} cannot be read now ({lost})")
        return next((damage for damage, _ in found if damage), None)

    def load(self, state: dict[str, Tensor]) -> None:
        """Read the tensors named in ``state`` into them; InputError if the checkpoint holds other names or shapes.

        They may be sharded otherwise than they were saved, or not at all; each rank reads what it needs for itself.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values: dict[str, Any] = dict(state)
            try:
                dcp.load(values, storage_reader=ShardReader(self.store), no_dist=True)
            except (RuntimeError, ValueError, KeyError, dcp.api.CheckpointException) as error:
                reason = str(error).strip().splitlines()[-1]
                raise InputError(f"{self.store}: does not fit this run: {reason}") from None

    def _damage_in_share(self, rank: int, world: int) -> tuple[str | None, str | None]:
        """What is wrong with this rank's share of the files, and why that cannot be said."""
        try:
            return self._damage_of_files(rank, world), None
        except FileNotFoundError:
            return f"{MANIFEST} is missing", None
        except OSError as error:
            if self.store.local is None:
                return None, str(error)
            return f"its files are unreadable ({error})", None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return f"{MANIFEST} is unreadable ({error})", None

    def _damage_of_files(self, rank: int, world: int) -> str | None:
        files = json.loads(self.store.read(MANIFEST))["files"]
        for name, expected in sorted(files.items())[rank::world]:
            try:
                size = self.store.size(name)
                if size != expected["bytes"]:
                    return f"{name} has {size} bytes, not {expected['bytes']}"
                if self.store.sha256(name) != expected["sha256"]:
                    return f"the sha256 of {name} is not the recorded one"
            except FileNotFoundError:
                return f"{name} is missing"
        return None

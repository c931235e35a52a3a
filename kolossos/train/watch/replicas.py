"""Replicas hold the same bits. Where they do not, a processor or its memory was wrong without an error."""

import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from kolossos.model.held import held_tensor
from kolossos.parallel.mesh import Meshes
from kolossos.train.checkpoints.ranks import Ranks


@dataclass(frozen=True)
class Differing:
    """Ranks (with their hosts) that hold other bits than most of their replicas; not ``sure``: half of them do."""

    ranks: list[tuple[int, str]]
    sure: bool

    def __str__(self) -> str:
        named = ", ".join(f"rank {rank} on {host}" for rank, host in self.ranks[:4])
        more = f" and {len(self.ranks) - 4} more" if len(self.ranks) > 4 else ""
        if self.sure:
            return f"silent corruption: {named}{more} hold other weights than their replicas"
        return f"silent corruption: {named}{more} hold different weights, and too few are alike to say which are right"


def digest(state: Mapping[str, Tensor]) -> str:
    """Of the bits that this rank holds of ``state``."""
    hashed = blake2b(digest_size=16)
    for name in sorted(state):
        hashed.update(name.encode())
        hashed.update(held_tensor(state[name].detach()).cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def differing_replicas(state: Mapping[str, Tensor], meshes: Meshes, ranks: Ranks) -> Differing | None:
    """Who differs from the replicas of what it holds; None where all are alike. The same on every rank."""
    return odd_ones(ranks.gather((meshes.part, digest(state), socket.gethostname())))


def odd_ones(held: list[tuple[Any, str, str]]) -> Differing | None:
    """From (part of the model, digest, host) of every rank: the ranks outside of the majority of their part."""
    odd: list[tuple[int, str]] = []
    sure = True
    for part in dict.fromkeys(part for part, _, _ in held):
        here = [(rank, found, host) for rank, (of, found, host) in enumerate(held) if of == part]
        most, count = Counter(found for _, found, _ in here).most_common(1)[0]
        if count == len(here):
            continue
        majority = 2 * count > len(here)
        sure = sure and majority
        odd += [(rank, host) for rank, found, host in here if not majority or found != most]
    return Differing(odd, sure) if odd else None

"""Seconds that a collective takes on a group of ranks, from where the group lies.

Ranks are numbered tp first, then cp, dp, pp (Megatron's order); a group of ``size`` ranks ``stride`` apart has
``domain / stride`` of them inside one NVLink domain. Rings and all-to-alls are priced by the slowest link each byte
crosses (Thakur et al., 2005, sections 3 and 4) plus a latency for each hop.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.columns import Column
from kolossos.plan.rates.hardware import HardwareColumns


@dataclass(frozen=True)
class Group:
    """A set of ranks that talk: how many, and how far apart their numbers are."""

    size: Column
    stride: Column

    def inside(self, hardware: HardwareColumns) -> Column:
        """Members that share one NVLink domain."""
        return np.clip(hardware.nvlink_domain / self.stride, 1.0, self.size)


def nic_rate(group: Group, hardware: HardwareColumns) -> Column:
    """Bytes/s of one rank's NIC towards the rest of the group: shared above the size of a pod."""
    beyond = group.size * group.stride > hardware.pod_gpus
    return hardware.nic_bytes_per_s / np.where(beyond, hardware.oversubscription, 1.0)


@dataclass(frozen=True)
class Ring:
    """A group as a ring: bytes/s of its slowest link, and start-up seconds; known once for all that it carries."""

    group: Group
    bytes_per_s: Column
    latency_s: Column

    def gather_seconds(self, total_bytes: Column) -> Column:
        """All-gather or reduce-scatter of ``total_bytes`` (the whole, not the shard)."""
        return total_bytes * (self.group.size - 1.0) / self.group.size / self.bytes_per_s + self.latency_s


def gather_seconds(total_bytes: Column, group: Group, hardware: HardwareColumns) -> Column:
    """All-gather or reduce-scatter of ``total_bytes`` over the group, as a ring."""
    return ring(group, hardware).gather_seconds(total_bytes)


def ring(group: Group, hardware: HardwareColumns) -> Ring:
    """The ring through all ranks of a group."""
    inside = group.inside(hardware)
    outside = group.size / inside
    rate = np.where(
        outside > 1.0,
        np.minimum(hardware.nvlink_bytes_per_s, inside * nic_rate(group, hardware)),
        hardware.nvlink_bytes_per_s,
    )
    return Ring(group, rate, latency(group, hardware))


def latency(group: Group, hardware: HardwareColumns) -> Column:
    """Start-up of a collective: hops inside the domain, and a tree outside (NCCL's choice for short messages)."""
    inside = group.inside(hardware)
    outside = np.log2(group.size / inside)
    return hardware.nvlink_latency_s * np.log2(np.maximum(inside, 1.0)) + hardware.fabric_latency_s * outside


def all_to_all_seconds(
    sent_bytes: Column,
    group: Group,
    hardware: HardwareColumns,
    share_within: Column | float = 1.0,
    share_across: Column | float = 1.0,
) -> Column:
    """Each rank sends ``sent_bytes`` in equal parts to all members (its own part stays).

    The shares are below 1 where a dispatcher sends one copy for several experts of a rank, or of a domain.
    """
    inside = group.inside(hardware)
    within = share_within * sent_bytes * (inside - 1.0) / inside / hardware.nvlink_bytes_per_s
    across = share_across * sent_bytes * (group.size - inside) / group.size / nic_rate(group, hardware)
    return np.maximum(within, across) + latency(group, hardware)


def send_seconds(sent_bytes: Column, distance: Column, hardware: HardwareColumns) -> Column:
    """One rank sends to another whose number is ``distance`` away."""
    near = distance < hardware.nvlink_domain
    rate = np.where(near, hardware.nvlink_bytes_per_s, hardware.nic_bytes_per_s)
    return sent_bytes / rate + np.where(near, hardware.nvlink_latency_s, hardware.fabric_latency_s)

"""Each replica on a host of its own: network namespaces on one bridge, and faults of their cables. Needs root, Linux.

The coordinator is outside, at the bridge. A cable is a veth pair. One way is cut by wrong hardware addresses: what is
sent to them is lost, and nobody hears of it. Delay and loss need the kernel's netem, and are left out without it.
"""

import ctypes
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from kolossos.chaos.faults import Fault, Kind, Target
from kolossos.chaos.rank import run_rank_aside
from kolossos.errors import InputError

NETWORK = "10.77.{}"
NOBODY = "02:00:00:00:00:01"
LONG, SHORT = (12.0, 16.0), (3.0, 6.0)  # seconds, longer and shorter than a rank may be silent


@dataclass(frozen=True)
class Hosts:
    """``replicas`` hosts whose names begin with ``name``."""

    name: str
    replicas: int

    @property
    def coordinator(self) -> str:
        """The address at which all hosts reach the coordinator."""
        return f"{self._network}.1"

    @property
    def _network(self) -> str:
        return NETWORK.format(os.getpid() % 250)

    @contextmanager
    def there(self) -> Iterator[None]:
        """Inside the block the hosts are there; InputError if they cannot be made here."""
        try:
            self._make()
            yield
        finally:
            self._remove()

    def kinds(self) -> dict[str, Kind]:
        """Faults of their cables."""
        kinds = {
            "a host cut off": Kind(2, self._cut, seconds=LONG),
            "a host cut off for a moment": Kind(2, self._cut, loses=False, seconds=(0.5, 1.5)),
            "nothing reaches a host": Kind(2, self._cut_way_in, seconds=LONG),
            "nothing comes from a host": Kind(2, self._cut_way_out, seconds=LONG),
        }
        impaired = {
            "a cable with 50 ms delay": Kind(1, partial(self._impair, "delay 50ms 10ms"), loses=False, seconds=SHORT),
            "a cable that loses 5 %": Kind(1, partial(self._impair, "loss 5%"), loses=False, seconds=SHORT),
        }
        return kinds | (impaired if self._has_netem() else {})

    def _make(self) -> None:
        """Bridge, namespaces and cables."""
        bridge = f"{self.name}b"
        _run(f"ip link add {bridge} type bridge")
        _run(f"ip addr add {self.coordinator}/24 dev {bridge}")
        _run(f"ip link set {bridge} up")
        for replica in range(self.replicas):
            host, outer, inner = self._host(replica), self._outer(replica), inner_end(self.name)
            _run(f"ip netns add {host}")
            _run(f"ip link add {outer} type veth peer name {inner} netns {host}")
            _run(f"ip link set {outer} master {bridge} up")
            _run(f"ip -n {host} addr add {self._address(replica)}/24 dev {inner}")
            _run(f"ip -n {host} link set {inner} up")
            _run(f"ip -n {host} link set lo up")

    def _remove(self) -> None:
        """All of them, as far as they are there."""
        for replica in range(self.replicas):
            with suppress(InputError):
                _run(f"ip netns del {self._host(replica)}")
        with suppress(InputError):
            _run(f"ip link del {self.name}b")

    def _host(self, replica: int) -> str:
        return f"{self.name}-{replica}"

    def _outer(self, replica: int) -> str:
        return f"{self.name}v{replica}"

    def _cut(self, target: Target, fault: Fault, _: random.Random) -> None:
        cable = self._outer(fault.replicas[0])
        _run(f"ip link set {cable} down")
        target.later(fault.seconds, lambda: _run(f"ip link set {cable} up"))

    def _cut_way_in(self, target: Target, fault: Fault, _: random.Random) -> None:
        """Nobody finds the host any more."""
        (replica,) = fault.replicas
        others = [f"-n {self._host(other)}" for other in range(self.replicas) if other != replica]
        ends = [(where, inner_end(self.name)) for where in others] + [("", f"{self.name}b")]
        self._mislead([(where, end, self._address(replica)) for where, end in ends], target, fault.seconds)

    def _cut_way_out(self, target: Target, fault: Fault, _: random.Random) -> None:
        """The host finds nobody any more."""
        (replica,) = fault.replicas
        addresses = [self._address(other) for other in range(self.replicas) if other != replica] + [self.coordinator]
        where = f"-n {self._host(replica)}"
        self._mislead([(where, inner_end(self.name), address) for address in addresses], target, fault.seconds)

    def _mislead(self, ways: list[tuple[str, str, str]], target: Target, seconds: float) -> None:
        """Give an address a wrong neighbour, for a while: (where, device, address)."""
        for where, device, address in ways:
            _run(f"ip {where} neigh replace {address} lladdr {NOBODY} dev {device} nud permanent")

        def heal() -> None:
            for where, device, address in ways:
                _run(f"ip {where} neigh del {address} dev {device}")

        target.later(seconds, heal)

    def _impair(self, how: str, target: Target, fault: Fault, _: random.Random) -> None:
        """What goes to the host."""
        queue = f"dev {self._outer(fault.replicas[0])} root"
        _run(f"tc qdisc add {queue} netem {how}")
        target.later(fault.seconds, lambda: _run(f"tc qdisc del {queue}"))

    def _has_netem(self) -> bool:
        """Whether this kernel can delay and lose packets."""
        one, other = f"{self.name}p", f"{self.name}q"
        try:
            _run(f"ip link add {one} type veth peer name {other}")
        except InputError:
            return False
        try:
            _run(f"tc qdisc add dev {one} root netem delay 1ms")
            return True
        except InputError:
            return False
        finally:
            _run(f"ip link del {one}")

    def _address(self, replica: int) -> str:
        return f"{self._network}.{10 + replica}"


def run_rank_on_host(name: str, environment: dict[str, str], command: list[str]) -> None:
    """A rank, in the network namespace of its replica."""
    with open(f"/run/netns/{name}-{environment['KOLOSSOS_REPLICA']}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")
    run_rank_aside({**environment, "GLOO_SOCKET_IFNAME": inner_end(name)}, command)


def inner_end(name: str) -> str:
    """Of the cable of each host."""
    return f"{name}i"


def _run(line: str) -> None:
    command = line.split()
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise InputError(f"hosts: {command[0]} is not here: {error.strerror}") from error
    if done.returncode:
        raise InputError(f"hosts: {line}: {done.stderr.strip() or done.returncode}")

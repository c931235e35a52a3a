"""Replicas on nodes of their own: agents start and end them, the coordinator is on one of the nodes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kolossos.chaos.hosts import Hosts, inner_end
from kolossos.errors import InputError
from kolossos.runs.events import read_events
from kolossos.runs.paths import RunPaths
from kolossos.train.checkpoints.names import committed_steps

SETS = ["survival.replicas=true", "layout.dp_replicate=2", "layout.micro_batch_size=1", "optimizer.name='adamw'"]
PATIENCE_S = 240.0
SILENT_S = 3.0


class Nodes:
    """The processes of one run, each by a name; all are ended in the end."""

    def __init__(self, run_file: Path, folder: Path, address: str, sets: list[str]):
        self.folder, self.address = folder, address
        values = [part for value in sets for part in ("--set", value)]
        self.train = ["--", "train", str(run_file), "--folder", str(folder), *values]
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, module: str, *arguments: str, before: tuple[str, ...] = (), device: str = "lo") -> None:
        command = [*before, sys.executable, "-m", f"kolossos.launch.{module}", *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": device}
        self.running[name] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)

    def coordinator(self, replicas: int, ranks: int, nodes: int = 1, plain: bool = False, **more: object) -> None:
        given = ["--address", self.address, "--replicas", str(replicas), "--ranks", str(ranks), "--nodes", str(nodes)]
        given += ["--plain"] if plain else []
        self.start("coordinator", "coordinate", str(self.folder), *given, "--silent", str(SILENT_S), **more)  # type: ignore[arg-type]

    def agent(
        self, replica: int, at: str = "127.0.0.1", index: int = 0, nodes: int = 1, plain: bool = False, **more: object
    ) -> None:
        given = ["--coordinator", self.address, "--replica", str(replica), "--replicas", "2", "--nodes", str(nodes)]
        given += ["--index", str(index), "--address", at, "--lease", str(SILENT_S)]
        given += ["--plain"] if plain else []
        self.start(f"{replica}/{index}", "agent", *given, *self.train, **more)  # type: ignore[arg-type]

    def steps(self) -> int:
        metrics = RunPaths(self.folder).metrics
        return len(read_events(metrics, "train")) if metrics.exists() else 0

    def told(self) -> list[dict]:
        path = RunPaths(self.folder).replicas
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def members(self) -> list[int]:
        return [what["members"] for what in self.told() if "members" in what][-1]

    def until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < deadline, self.told()
            assert self.running["coordinator"].poll() is None, self.running["coordinator"].communicate()
            time.sleep(0.05)

    def end(self) -> dict[str, tuple[int, str]]:
        """Exit code and stderr of each."""
        ended = {}
        for name, process in self.running.items():
            said = process.communicate(timeout=PATIENCE_S)[1]
            ended[name] = process.returncode, said
        return ended

    def kill(self) -> None:
        for process in self.running.values():
            process.kill()


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def nodes(run_file: Path, tmp_path: Path) -> Iterator[Callable[[str, list[str]], Nodes]]:
    made: list[Nodes] = []

    def make(address: str, sets: list[str]) -> Nodes:
        made.append(Nodes(run_file, tmp_path / "run", address, [*SETS, f"survival.silent_seconds={SILENT_S}", *sets]))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def losses(folder: Path) -> list[float]:
    return [event["loss"] for event in read_events(RunPaths(folder).metrics, "train")]


def unbroken(run_file: Path, tmp_path: Path, sets: list[str]) -> list[float]:
    """The losses of the same run where all replicas are on this computer."""
    values = [part for value in [*SETS, *sets] for part in ("--set", value)]
    command = ["launch", str(run_file), "--on", "local", "--run", str(tmp_path / "here"), *values]
    subprocess.run([sys.executable, "-m", "kolossos", *command], check=True, capture_output=True)
    return losses(tmp_path / "here")


def test_an_agent_that_dies_takes_its_replica_with_it_and_brings_it_back_and_no_bit_changes(
    run_file: Path, tmp_path: Path, nodes
) -> None:
    sets = ["schedule.steps=120"]
    run = nodes(free_address(), sets)
    run.coordinator(2, 1)
    run.agent(0)
    run.agent(1)
    run.until(lambda: run.steps() >= 5)
    os.kill(run.running["1/0"].pid, signal.SIGKILL)
    run.running.pop("1/0").wait()
    run.until(lambda: run.members() == [0])
    run.agent(1)
    run.until(lambda: run.members() == [0, 1])
    ended = run.end()
    assert {name: code for name, (code, _) in ended.items()} == {"coordinator": 0, "0/0": 0, "1/0": 0}
    assert losses(run.folder) == unbroken(run_file, tmp_path, sets)
    assert len(losses(run.folder)) == 120


@pytest.mark.slow
def test_a_replica_on_two_nodes_is_lost_as_a_whole_and_comes_back_as_a_whole(
    run_file: Path, tmp_path: Path, nodes
) -> None:
    """Two replicas of two nodes with a rank each; a rank of one is killed, and then all are stopped, saved."""
    sets = ["schedule.steps=100000", "layout.dp_shard=2", "layout.global_batch_size=8", "checkpoint.every=0"]
    run = nodes(free_address(), sets)
    run.coordinator(2, 2, 2)
    for replica in (0, 1):
        for index in (0, 1):
            run.agent(replica, index=index, nodes=2)
    run.until(lambda: run.steps() >= 3)
    beat = json.loads(next(RunPaths(run.folder).watch.glob("steps-*")).read_text())
    assert beat["host"] == socket.gethostname()
    os.kill(rank_of(run.running["1/1"].pid), signal.SIGKILL)
    run.until(lambda: any(what.get("lost") == 1 for what in run.told()))
    run.until(lambda: run.members() == [0, 1] and {"started": 1, "life": 1}.items() <= run.told()[-2].items())
    run.running["coordinator"].send_signal(signal.SIGTERM)
    ended = run.end()
    assert {code for code, _ in ended.values()} == {75}
    assert [path.name for path in RunPaths(run.folder).checkpoints.iterdir()] == [f"step-{run.steps():08d}"]


def rank_of(agent: int) -> int:
    """A rank that this agent has started."""
    fork = next(int(child) for child in children(agent) if "forkserver" in command_of(int(child)))
    return int(children(fork)[0])


def children(process: int) -> list[str]:
    return [child for task in Path(f"/proc/{process}/task").glob("*/children") for child in task.read_text().split()]


def command_of(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@pytest.mark.slow
def test_a_node_of_one_job_is_lost_and_another_takes_its_place_with_the_state_from_its_neighbours_memory(
    run_file: Path, tmp_path: Path, nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = ["survival.replicas=false", "layout.dp_replicate=1", "layout.dp_shard=2", "schedule.steps=150"]
    sets += ["checkpoint.every=0", "checkpoint.memory_every=3"]
    run = nodes(free_address(), sets)
    run.coordinator(1, 2, 2, plain=True)

    def start(name: str, index: int) -> None:
        monkeypatch.setenv("KOLOSSOS_NODE", name)
        monkeypatch.setenv("KOLOSSOS_MEMORY", str(tmp_path / f"memory-of-{name}"))
        run.agent(0, index=index, nodes=2, plain=True)

    start("a", 0)
    start("b", 1)
    run.until(lambda: run.steps() >= 20)
    lost = run.running.pop("0/1")
    os.kill(lost.pid, signal.SIGKILL)
    lost.wait()
    shutil.rmtree(tmp_path / "memory-of-b")
    start("c", 1)
    ended = run.end()
    assert {name: code for name, (code, _) in ended.items()} == {"coordinator": 0, "0/0": 0, "0/1": 0}
    (line,) = [line for line in ended["0/0"][1].splitlines() if "from the memory of the nodes" in line]
    assert int(line.split("step ")[1].split(",")[0]) >= 15
    assert committed_steps(RunPaths(run.folder).checkpoints) == [150]
    monkeypatch.setenv("KOLOSSOS_MEMORY", str(tmp_path / "memory"))
    assert losses(run.folder) == unbroken(run_file, tmp_path, sets)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_two_hosts_with_the_coordinator_on_one_of_them_survive_a_cable_that_is_cut(
    run_file: Path, tmp_path: Path, nodes
) -> None:
    sets = ["schedule.steps=400"]
    hosts = Hosts(f"a{os.getpid()}", 2)
    run = nodes(f"{hosts._address(0)}:29400", sets)
    try:
        with hosts.there():
            on = [("ip", "netns", "exec", hosts._host(host)) for host in range(2)]
            run.coordinator(2, 1, before=on[0], device=inner_end(hosts.name))
            for host in range(2):
                run.agent(host, hosts._address(host), before=on[host], device=inner_end(hosts.name))
            run.until(lambda: run.steps() >= 5)
            subprocess.run(["ip", "link", "set", hosts._outer(1), "down"], check=True)
            run.until(lambda: run.members() == [0])
            before = run.steps()
            run.until(lambda: run.steps() > before + 3)
            subprocess.run(["ip", "link", "set", hosts._outer(1), "up"], check=True)
            run.until(lambda: run.members() == [0, 1])
            ended = run.end()
            run.running.clear()
    except InputError as error:
        pytest.skip(f"no network namespaces here: {error}")
    assert {code for code, _ in ended.values()} == {0}
    assert "the coordinator is not reached for" in ended["1/0"][1]
    assert losses(run.folder) == unbroken(run_file, tmp_path, sets)

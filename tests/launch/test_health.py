"""Sick nodes are named and left out; and the figures of this computer, alone and as two nodes."""

import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.launch.health import Figures, chosen, read_figures

HOSTS = [f"node{n}" for n in range(6)]
WELL = {host: Figures(host, 1000.0 + n, 200.0 - n, 20.0) for n, host in enumerate(HOSTS)}


def test_healthy_nodes_are_taken_in_their_order() -> None:
    assert chosen(WELL, HOSTS, 4) == (HOSTS[:4], [])


@pytest.mark.parametrize("name", ["products", "memory", "link"])
def test_a_node_below_the_others_is_named_with_what_it_lacks(name: str) -> None:
    sick = WELL | {"node1": replace(WELL["node1"], **{name: 1.0})}
    hosts, said = chosen(sick, HOSTS, 5)
    assert hosts == ["node0", *HOSTS[2:]]
    (line,) = said
    assert line.startswith(f"node1 is sick: {name} 1.0 G")


def test_a_node_that_left_nothing_is_named() -> None:
    hosts, said = chosen({h: f for h, f in WELL.items() if h != "node0"}, HOSTS, 5)
    assert hosts == HOSTS[1:]
    assert said[0].startswith("node0 has left no figures")


def test_too_few_that_are_well_are_refused_with_the_reasons() -> None:
    with pytest.raises(InputError, match=r"5 of 6 nodes are well, the job needs 6; node0 has left no figures"):
        chosen({h: f for h, f in WELL.items() if h != "node0"}, HOSTS, 6)


def test_two_nodes_measure_themselves_and_their_link(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meet = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "kolossos.launch.health", "measure"]
    nodes = [
        subprocess.Popen([*command, str(tmp_path / str(n)), "--index", str(n), "--nodes", "2", "--meet", meet])
        for n in range(2)
    ]
    assert [node.wait() for node in nodes] == [0, 0]
    for n in range(2):
        (figures,) = read_figures(tmp_path / str(n)).values()
        assert figures.products > 0.1
        assert figures.memory > 0.01
        assert figures.link is not None
        assert figures.link > 0.001
    host = json.loads(next((tmp_path / "0").glob("*.json")).read_text())["host"]
    chosen_here = [*command[:-1], "choose", str(tmp_path / "0"), "--nodes", "1", "--of", host]
    assert subprocess.run(chosen_here, capture_output=True, text=True, check=True).stdout == f"{host}\n"

"""``kolossos simulate`` and ``optimise`` from outside: bad input is one line, JSON is alone on stdout."""

import json
from pathlib import Path

import pytest

RUN = ["grok-1", "--cluster", "colossus-100k", "--step-time", "5", "--days", "6", "--replicates", "4"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--grow", "50000xh100@day-3"], "growth before day 0"),
        (["--grow", "50000xh100@day60"], "the run ends after 6 days"),
        (["--grow", "lots of gpus"], "expected COUNTxGPU@dayN"),
        (["--grow", "8xh101@day2"], "'h100'"),
        (["--spares", "20000"], "leaves no GPU of 100,000"),
        (["--spares=-1"], "recovery.spare_nodes"),
        (["--failures", "llama3-2042"], "'llama3-2024'"),
        (["--set", "failures.scale=-1"], "failures.scale"),
        (["--set", "failures.causes=[{name='a', kind='gpu', per_1000_node_days=-2.0}]"], "per_1000_node_days"),
        (["--set", "recovery.spares=3"], "'spare_nodes'"),
        (["--policy", "hope"], "recovery.policy"),
        (["--checkpoint-interval", "often"], "expected seconds, or auto"),
        (["--set", "recovery.min_replicas=99"], "exceeds replicas"),
        (["--json-input", "nowhere.json"], "give one of the two"),
    ],
)
def test_bad_input_is_one_clear_line(kolossos, arguments: list[str], says: str) -> None:
    done = kolossos("simulate", *RUN, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert says in done.stderr


def test_no_model_and_a_bad_file_are_one_line_too(kolossos, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    for arguments in (
        ["simulate"],
        ["simulate", "--json-input", str(bad)],
        ["optimise", *RUN[:-2], "--objective", "fun"],
    ):
        done = kolossos(*arguments)
        assert done.returncode == 2, arguments
        assert len(done.stderr.strip().splitlines()) == 1


def test_json_is_alone_on_stdout_repeats_and_is_an_input_again(kolossos, tmp_path: Path) -> None:
    arguments = [*RUN, "--spares", "60", "--checkpoint-interval", "300", "--json"]
    first, again = kolossos("simulate", *arguments), kolossos("simulate", *arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    figures = json.loads(first.stdout)
    path = tmp_path / "inputs.json"
    path.write_text(json.dumps(figures["inputs"]))
    replayed = json.loads(kolossos("simulate", "--json-input", str(path), "--json").stdout)
    assert replayed["tokens"] == figures["tokens"]


def test_the_table_names_what_arrives_is_lost_and_costs_and_plots_are_written(kolossos, tmp_path: Path) -> None:
    done = kolossos("simulate", *RUN, "--grow", "8000xh200@day3", "--tokens", "1e12", "--plots", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for said in (
        "goodput",
        "restart and reload",
        "MW",
        "cost per hour, USD",
        "spare nodes",
        "shrink-and-heal",
        "days to",
    ):
        assert said in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "timeline.png", "hours.png", "policy.png", "power.png", "racks.png",
    }  # fmt: skip

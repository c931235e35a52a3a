"""The sbatch script, run by bash with commands of Slurm that write down what they are given."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.launch.job import Job, ReplicaJob, job_of
from kolossos.launch.slurm import slurm_script

NASTY = ['it\'s "here"/run $(touch broken).toml', "--set", "name='a b;c`d`'", "--set", "x=\n@PORT@ @NODES@"]

SRUN = f"""#!{sys.executable}
import json, os, signal, sys, time
passed_on = []
signal.signal(signal.SIGUSR1, lambda number, _: passed_on.append(number))
with open(os.environ["TOLD"], "a") as told:
    told.write(json.dumps(["srun", *sys.argv[1:]]) + "\\n")
if "kolossos.launch.node" in sys.argv:
    if os.environ["SIGNAL"]:
        while not passed_on:  # by the script
            os.kill(os.getppid(), int(os.environ["SIGNAL"]))
            time.sleep(0.2)
    sys.exit(int(os.environ["CODE"]))
"""
SCONTROL = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["TOLD"], "a") as told:
    told.write(json.dumps(["scontrol", *sys.argv[1:]]) + "\\n")
if sys.argv[1:3] == ["show", "hostnames"]:
    print("node1\\nnode2\\nnode3")
"""
PYTHON = """#!/bin/bash
echo node1,node3
"""


def run_script(tmp_path: Path, code: int, starts: int = 0, number: int = 0) -> tuple[int, list[list[str]]]:
    """The exit code of the script where the ranks end with ``code``, and what Slurm's commands were told."""
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "fake python": PYTHON}.items():
        path = tmp_path / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    job = job_of("Grok 1", NASTY, 16, per_node=8, spares=1)
    python = str(tmp_path / "fake python")
    script = tmp_path / "job.sbatch"
    script.write_text(slurm_script(job, options=["partition=gpu"], folder=str(tmp_path / "he alth"), python=python))
    told = tmp_path / "told"
    slurm = {"SLURM_JOB_ID": "17", "SLURM_JOB_NODELIST": "node[1-3]", "SLURM_JOB_NUM_NODES": "3"}
    slurm |= {"SLURM_RESTART_COUNT": str(starts)} if starts else {}
    environment = {**os.environ, **slurm, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment |= {"TOLD": str(told), "CODE": str(code), "SIGNAL": str(number or "")}
    done = subprocess.run(["bash", str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    assert not (tmp_path / "broken").exists()
    return done.returncode, [json.loads(line) for line in told.read_text().splitlines()]


def test_sick_nodes_are_left_out_and_every_argument_arrives_as_it_was(tmp_path: Path) -> None:
    code, told = run_script(tmp_path, 0)
    assert code == 0
    measuring, training = (words for words in told if words[0] == "srun")
    assert measuring[measuring.index("measure") + 1] == f"{tmp_path}/he alth/17-0"
    assert measuring[measuring.index("--nodes") + 1] == "3"
    assert "--nodelist=node1,node3" in training
    assert training[training.index("--meet") + 1] == "node1:29400"
    assert training[training.index("--") + 1 :] == ["train", *NASTY]
    assert ["scontrol", "requeue", "17"] not in told


@pytest.mark.parametrize(
    ("code", "starts", "number", "again"),
    [
        (75, 0, signal.SIGUSR1, True),
        (75, 50, signal.SIGUSR1, True),
        (75, 0, signal.SIGTERM, False),
        (75, 0, 0, False),
        (137, 2, 0, True),
        (137, 3, 0, False),
        (2, 0, 0, False),
    ],
)
def test_a_stop_and_a_crash_are_requeued_and_what_was_cancelled_or_refused_is_not(
    code: int, starts: int, number: int, again: bool, tmp_path: Path
) -> None:
    ended, told = run_script(tmp_path, code, starts, number)
    assert (["scontrol", "requeue", "17"] in told) == again
    assert ended == (0 if again else code)


def test_each_replica_is_a_step_on_its_own_nodes_and_the_coordinator_decides_how_it_ends(tmp_path: Path) -> None:
    told, agents = tmp_path / "told", tmp_path / "agents"
    for name, text in {
        "srun": '#!/bin/bash\nprintf "%s\\n" "$*" >> "$TOLD"\nsleep 0.1\n',
        "scontrol": "#!/bin/bash\nprintf 'n%s\\n' 1 2 3 4\n",
        "python": f'#!/bin/bash\n[ "$3" = choose ] && echo n1,n2,n3,n4 && exit\n'
        f'printf "%s\\n" "$*" >> {agents}\nsleep 3\nexit 75\n',
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    each = ReplicaJob(2, 2, str(tmp_path / "a run"), 7.5, 0.0)
    job = Job("grok", tuple(NASTY), 4, 8, replicas=each)
    script = tmp_path / "job.sbatch"
    script.write_text(slurm_script(job, options=[], folder=str(tmp_path / "h"), python=str(tmp_path / "python")))
    assert "#SBATCH --no-kill" in script.read_text()
    slurm = {"SLURM_JOB_ID": "1017", "SLURM_JOB_NODELIST": "n[1-4]", "SLURM_JOB_NUM_NODES": "4", "TOLD": str(told)}
    environment = {**os.environ, **slurm, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (75, "")
    lines = agents.read_text().splitlines()
    coordinator = next(line for line in lines if "kolossos.launch.coordinate" in line)
    assert f"{tmp_path}/a run --address n1:29417 --replicas 2 --ranks 16 --nodes 2 --silent 7.5 " in coordinator
    steps = [line for line in told.read_text().splitlines() if "kolossos.launch.agent" in line]
    for number, hosts in enumerate(("n1,n2", "n3,n4")):
        mine = [line for line in steps if f"--nodelist={hosts} " in line]
        assert len(mine) > 1  # begun again as long as the coordinator is there
        assert all(f"--coordinator n1:29417 --replica {number} --replicas 2 " in line for line in mine)
        assert all("--address $SLURMD_NODENAME --lease 7.5 -- train" in line for line in mine)


def test_options_that_could_be_read_otherwise_are_refused() -> None:
    job = job_of("grok", [], 1)
    for option in ["partition=gpu\n#SBATCH --uid=0", "time = 1", "comment=$(id)", "-p gpu"]:
        with pytest.raises(InputError, match="expected an option of sbatch"):
            slurm_script(job, options=[option], folder="health")

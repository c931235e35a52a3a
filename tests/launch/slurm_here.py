"""A Slurm cluster of three nodes on this computer, for as long as a test needs it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NODES = ("kn1", "kn2", "kn3")
DAEMONS = ("slurmctld", "slurmd")
CONF = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={first}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
SchedulerParameters=sched_interval=2,batch_sched_delay=1
ReturnToService=2
MpiDefault=none
KillWait=60
{nodes}
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def why_not() -> str | None:
    """Why no cluster can be started here, or None."""
    missing = [name for name in (*DAEMONS, "sbatch", "srun") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: slurm-wlm)"
    if os.geteuid() != 0:
        return "slurmctld and slurmd run as root"
    return None


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which sbatch and its like speak to the cluster."""
    ports = free_ports(len(NODES) + 1)
    host = socket.gethostname()
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=1000"
        for node, port in zip(NODES, ports[1:], strict=True)
    )
    (folder / "state").mkdir(parents=True)
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, first=ports[0], folder=folder, nodes=nodes))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    daemons = [subprocess.Popen(["slurmctld", "-D", "-f", str(conf)], env=environment, stderr=subprocess.DEVNULL)]
    daemons += [
        subprocess.Popen(["slurmd", "-D", "-N", node, "-f", str(conf)], env=environment, stderr=subprocess.DEVNULL)
        for node in NODES
    ]
    try:
        deadline = time.monotonic() + 60
        while asked(environment, "sinfo", "-h", "-o", "%T").strip() != "idle":
            assert time.monotonic() < deadline, (folder / "slurmctld.log").read_text()
            time.sleep(0.5)
        yield environment
    finally:
        asked(environment, "scancel", "--signal=KILL", "--full", "--user=root")
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait()


def asked(environment: dict[str, str], *command: str) -> str:
    """What a command of Slurm says."""
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

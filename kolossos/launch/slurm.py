"""A job as an sbatch script. `--signal` and `--requeue` as in https://slurm.schedmd.com/sbatch.html."""

import re
import shlex
import sys

from kolossos.errors import InputError
from kolossos.launch.job import PORT, REFUSED, SPARE_TIME_S, STOPPED, Job

OPTION = re.compile(r"[a-z][a-z-]*(=[^\s#\"'\\`$]+)?")
"""What may stand behind #SBATCH --: a name, and a value without anything that a shell or Slurm would read otherwise."""


def slurm_script(job: Job, *, options: list[str], folder: str, python: str = sys.executable, cpus: int = 0) -> str:
    """The script of ``job``: health of all nodes, the healthy ones train, a stop or a crash is requeued.

    options: more of sbatch's own, as ``name=value``. folder: where the figures of nodes lie, which all nodes see.

    Raises:
        InputError: an option that could be read as something else.
    """
    for option in options:
        if not OPTION.fullmatch(option):
            raise InputError(f"{option!r}: expected an option of sbatch as name=value, such as partition=gpu")
    asked = [
        f"job-name={job.name}",
        f"nodes={job.nodes + job.spares}",
        "ntasks-per-node=1",
        *([f"cpus-per-task={cpus}"] if cpus else []),
        f"signal=B:USR1@{SPARE_TIME_S}",
        "requeue",
        *(["no-kill"] if job.replicas else []),  # a node that is gone is one replica
        "open-mode=append",
        f"output={job.name}-%j.log",
        *options,
    ]
    quoted = shlex.quote
    words = {
        "OPTIONS": "\n".join(f"#SBATCH --{option}" for option in asked),
        "NODES": str(job.nodes),
        "PER_NODE": str(job.per_node),
        "RESTARTS": str(job.restarts),
        "STOPPED": str(STOPPED),
        "REFUSED": str(REFUSED),
        "PYTHON": quoted(python),
        "HEALTH": quoted(folder),
        "PORT": str(PORT),
        "TRAINING": shlex.join(["train", *job.training]),
    }
    if job.replicas is not None:
        each = job.replicas
        words |= {"REPLICAS": str(each.count), "NODES_EACH": str(each.nodes), "FOLDER": quoted(each.folder)}
        words |= {"SILENT": f"{each.silent_s:g}", "STUCK": f"{each.stuck_s:g}"}
        words |= {"RANKS": str(each.nodes * job.per_node)}
    script = SCRIPT.replace("@RANKS_BEGIN@\n", EACH_REPLICA if job.replicas else ALL_TOGETHER)
    return re.sub(r"@([A-Z_]+)@", lambda match: words[match[1]], script)


ALL_TOGETHER = """\
srun --nodes=@NODES@ --ntasks=@NODES@ --nodelist="$hosts" --kill-on-bad-exit=0 \\
  @PYTHON@ -m kolossos.launch.node --nodes @NODES@ --per-node @PER_NODE@ --index '$SLURM_PROCID' \\
  --meet "${hosts%%,*}:@PORT@" --job "$job" -- @TRAINING@ &
ranks=$!
"""

EACH_REPLICA = """\
# Each replica is a step of its own, begun again as long as the coordinator, which is here, is there.
coordinator=$first:$((@PORT@ + $SLURM_JOB_ID % 1000))
@PYTHON@ -m kolossos.launch.coordinate @FOLDER@ --address "$coordinator" --replicas @REPLICAS@ --ranks @RANKS@ \\
  --nodes @NODES_EACH@ --silent @SILENT@ --stuck @STUCK@ --restarts @RESTARTS@ &
ranks=$!
replica() {
  while kill -0 $ranks 2> /dev/null; do
    srun --nodes=@NODES_EACH@ --ntasks=@NODES_EACH@ --nodelist="$2" --kill-on-bad-exit=0 --no-kill \\
      @PYTHON@ -m kolossos.launch.agent --coordinator "$coordinator" --replica "$1" --replicas @REPLICAS@ \\
      --nodes @NODES_EACH@ --per-node @PER_NODE@ --index '$SLURM_PROCID' --address '$SLURMD_NODENAME' \\
      --lease @SILENT@ -- @TRAINING@
    sleep 1
  done
}
for number in $(seq 0 $((@REPLICAS@ - 1))); do
  replica $number "$(cut -d, -f$((number * @NODES_EACH@ + 1))-$(((number + 1) * @NODES_EACH@)) <<< "$hosts")" &
done
"""

SCRIPT = """\
#!/bin/bash
@OPTIONS@
# Written by `kolossos launch --on slurm`; `sbatch` takes it. The run goes on from its last checkpoint at every start.
set -u
job="$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}"
health=@HEALTH@/"$job"
all=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=$(head -n 1 <<< "$all")

# 1. Every node says how well it is; those that are not are named and left out.
if [ @NODES@ -gt 1 ] || [ "$SLURM_JOB_NUM_NODES" -gt @NODES@ ]; then
  srun --kill-on-bad-exit=0 @PYTHON@ -m kolossos.launch.health measure "$health" --index '$SLURM_PROCID' \\
    --nodes "$SLURM_JOB_NUM_NODES" --meet "$first:$((@PORT@ + 1))"
  hosts=$(@PYTHON@ -m kolossos.launch.health choose "$health" --nodes @NODES@ --of "$(paste -sd, <<< "$all")") || exit
else
  hosts=$first
fi

# 2. The ranks. A signal (the end of the time limit, scancel --batch) goes to them: they end after their step, saved.
again= ranks=
trap 'again=yes; kill -USR1 $ranks' USR1
trap 'kill -USR1 $ranks' TERM
@RANKS_BEGIN@
while :; do
  wait $ranks
  code=$?
  kill -0 $ranks 2> /dev/null || break
done

# 3. Stopped by USR1 and saved: once more. Crashed: once more, a few times. Finished, refused, cancelled: the end.
echo "ended with exit code $code"
if [ $code -eq @STOPPED@ ] && [ -n "$again" ]; then
  scontrol requeue "$SLURM_JOB_ID" && exit 0
elif [ $code -ne 0 ] && [ $code -ne @REFUSED@ ] && [ $code -ne @STOPPED@ ]; then
  [ "${SLURM_RESTART_COUNT:-0}" -lt @RESTARTS@ ] && scontrol requeue "$SLURM_JOB_ID" && exit 0
fi
exit $code
"""

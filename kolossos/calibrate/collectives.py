"""Collectives between processes of this computer: gloo between processes on a CPU, NCCL between its GPUs.

Each rank is a process of its own (`collective_worker`); they find each other through a file, and on a CPU they talk
over the loop-back. A sample is the time of the slowest rank.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kolossos.calibrate.clock import Tick
from kolossos.calibrate.fit import fit_nonnegative, relative_error
from kolossos.specs.gpu import CollectiveFit

KINDS = ("all-reduce", "all-gather", "all-to-all")
START_S = 60.0
LOOP_BACK = {"linux": "lo", "darwin": "lo0"}


@dataclass(frozen=True)
class Collectives:
    """Timings of one group: rows of kind, message bytes (as ``wire_bytes`` takes them), best seconds and spread."""

    backend: str
    ranks: int
    rows: list[tuple[str, int, float, float]]

    def fits(self) -> list[CollectiveFit]:
        """Latency and bandwidth of each kind, by least squares in relative error."""
        fits = []
        for kind in KINDS:
            rows = [row for row in self.rows if row[0] == kind]
            wire = np.array([wire_bytes(kind, size, self.ranks) for _, size, _, _ in rows])
            seconds = np.array([best for _, _, best, _ in rows])
            terms = np.stack([np.ones_like(wire), wire], axis=1)
            latency, per_byte = fit_nonnegative(terms, seconds)
            if per_byte <= 0:
                continue
            fits.append(
                CollectiveFit(
                    kind=kind,
                    backend=self.backend,
                    ranks=self.ranks,
                    latency_s=float(latency),
                    bandwidth_bytes_per_s=1.0 / float(per_byte),
                    fit_error=relative_error(terms, np.array([latency, per_byte]), seconds),
                )
            )
        return fits


def wire_bytes(kind: str, message_bytes: float, ranks: int) -> float:
    """Bytes that each rank must send: ring all-reduce 2 S (p-1)/p, all-gather of S in all and all-to-all S (p-1)/p."""
    return (2.0 if kind == "all-reduce" else 1.0) * message_bytes * (ranks - 1) / ranks


def measure_collectives(ranks: int, backend: str, threads: int, seconds: float, tick: Tick) -> Collectives:
    """Time all kinds for about ``seconds``, after the processes have started. RuntimeError says why it cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, threads // ranks))}
        if backend == "gloo" and sys.platform in LOOP_BACK:
            environment.setdefault("GLOO_SOCKET_IFNAME", LOOP_BACK[sys.platform])
        command = [sys.executable, "-m", "kolossos.calibrate.collective_worker", str(store), backend, str(ranks)]
        errors = open(Path(folder) / "errors", "w+b")  # noqa: SIM115 (closed below, with the processes)
        workers = [
            subprocess.Popen(
                [*command, str(rank), str(seconds)], stdout=subprocess.PIPE, stderr=errors, env=environment
            )
            for rank in range(ranks)
        ]
        try:
            _wait(workers, time.monotonic() + START_S + 2 * seconds, tick)
            errors.seek(0)
            told = errors.read().decode(errors="replace").strip()
            if any(worker.returncode for worker in workers):
                raise RuntimeError(told.splitlines()[-1] if told else "a process of the group died")
            assert workers[0].stdout is not None
            return Collectives(backend, ranks, [tuple(row) for row in json.loads(workers[0].stdout.read())])
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
                if worker.stdout is not None:
                    worker.stdout.close()
            errors.close()


def _wait(workers: list[subprocess.Popen[bytes]], deadline: float, tick: Tick) -> None:
    while any(worker.poll() is None for worker in workers):
        if any(worker.returncode for worker in workers):
            return
        if time.monotonic() > deadline:
            raise RuntimeError("the processes of the group did not finish in time")
        tick()
        time.sleep(0.05)

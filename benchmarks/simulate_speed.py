"""How fast months of a run are simulated, and what memory it takes: `python benchmarks/simulate_speed.py --json`.

100,000 GPUs for 90 days under the failure table of Llama 3, on one core: one replicate (median of several), 1,000
replicates in a process of their own (wall time and peak memory), and one replicate over fleets of 10,000 to 1,000,000
GPUs with the same number of failures: the cost must follow the failures, not the GPUs. `--write` keeps the result in
benchmarks/results/simulate_speed.json.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent))

from machine import describe  # noqa: E402

RESULT = Path(__file__).resolve().parent / "results/simulate_speed.json"
AIMS = {"one_replicate_s": 0.1, "many_replicates_s": 60.0, "many_replicates_peak_bytes": 1e9}


def scenario_of(gpus: int, scale: float, replicates: int, seed: int = 0):
    from kolossos.simulate.scenario import resolve
    from kolossos.simulate.spec import OperationSpec

    values = {
        "days": 90.0,
        "replicates": replicates,
        "seed": seed,
        "fleet": {"gpus": gpus},
        "failures": {"table": "llama3-2024", "scale": scale},
        "recovery": {"spare_nodes": 100},
    }
    return resolve(OperationSpec.parse(values, "benchmark"))


def timed(gpus: int, scale: float, replicates: int, repeats: int) -> tuple[float, float]:
    """Median seconds and mean interruptions."""
    from kolossos.simulate.engine.play import simulate

    seconds, failures = [], 0.0
    for repeat in range(repeats + 1):
        scenario = scenario_of(gpus, scale, replicates, seed=repeat)
        start = time.perf_counter()
        outcome = simulate(scenario, 600.0)
        seconds.append(time.perf_counter() - start)
        failures = float(outcome.interruptions.mean())
    return statistics.median(seconds[1:]), failures


def many(replicates: int) -> dict[str, float]:
    """Run in a process of its own, so that the peak is this run's alone."""
    command = [sys.executable, __file__, "--child", str(replicates)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def child(replicates: int) -> None:
    from kolossos.simulate.engine.play import simulate

    start = time.perf_counter()
    outcome = simulate(scenario_of(100_000, 1.0, replicates), 600.0)
    wall = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    goodput = float(outcome.goodput.mean())
    print(json.dumps({"seconds": wall, "peak_bytes": peak, "goodput": goodput}))


def measure(replicates: int) -> dict:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, also for the children
    one, failures = timed(100_000, 1.0, 1, repeats=9)
    thousand = many(replicates)
    same_failures = [
        {"gpus": gpus, "seconds": timed(gpus, 100_000 / gpus, 1, repeats=5)[0]} for gpus in (10_000, 100_000, 1_000_000)
    ]
    more_failures = []
    for scale in (0.1, 1.0, 10.0):
        seconds, count = timed(100_000, scale, 1, repeats=3)
        more_failures.append({"failures": count, "seconds": seconds})
    return {
        "machine": describe(),
        "date": date.today().isoformat(),
        "gpus": 100_000,
        "days": 90,
        "failures_per_replicate": failures,
        "one_replicate_s": one,
        "replicates": replicates,
        "many_replicates_s": thousand["seconds"],
        "many_replicates_peak_bytes": thousand["peak_bytes"],
        "same_failures_other_fleets": same_failures,
        "same_fleet_other_failures": more_failures,
        "aims": AIMS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="keep the result")
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--child", type=int)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
        return
    result = measure(arguments.replicates)
    if arguments.write:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(result, indent=1))
        return
    print(f"one replicate: {result['one_replicate_s']:.3f} s, {result['failures_per_replicate']:,.0f} failures")
    peak = result["many_replicates_peak_bytes"] / 1e6
    print(f"{result['replicates']:,} replicates: {result['many_replicates_s']:.1f} s, peak {peak:,.0f} MB")
    for row in result["same_failures_other_fleets"]:
        print(f"{row['gpus']:>9,} GPUs, as many failures: {row['seconds']:.3f} s")
    for row in result["same_fleet_other_failures"]:
        print(f"{row['failures']:>9,.0f} failures: {row['seconds']:.3f} s")


if __name__ == "__main__":
    main()

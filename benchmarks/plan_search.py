"""How fast the planner searches, on one core: layouts a second, and seconds and peak memory of each search.

    python benchmarks/plan_search.py --json

A layout counts if its step time and its memory were priced. Each search runs in a process of its own, held to one core
where the system can; ``cpu_seconds`` beside ``seconds`` tells how busy the machine was. Calculon, the open analytic
planner, evaluates 200 to 260 layouts a second, or 2,500 to 2,900 with its logging off.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import time
from typing import Any

SEARCHES = (("grok-1", "colossus-100k"), ("llama-3.1-405b", "colossus-100k"), ("grok-1", "dgx-h100-1024"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the planner's search.")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each search; the fastest counts")
    asked = parser.parse_args()
    searches = [min((_apart(*s) for _ in range(asked.repeat)), key=lambda r: r["seconds"]) for s in SEARCHES]
    large = searches[:2]
    total = {
        "layouts_per_s": sum(s["layouts"] for s in large) / sum(s["seconds"] for s in large),
        "layouts_per_cpu_s": sum(s["layouts"] for s in large) / sum(s["cpu_seconds"] for s in large),
        "cores": 1,
        "machine": platform.processor() or platform.machine(),
        "searches": searches,
    }
    if asked.json:
        print(json.dumps(total, indent=1))
        return
    for s in searches:
        print(
            f"{s['model']} on {s['n_gpus']:,} GPUs: {s['layouts']:,} layouts in {s['seconds']:.1f} s "
            f"({s['cpu_seconds']:.1f} s of CPU), {s['layouts_per_s']:,.0f} a second, "
            f"peak {s['peak_bytes'] / 1e6:.0f} MB"
        )


def _apart(model: str, cluster: str) -> dict[str, Any]:
    """One search in a fresh process, so that the peak is its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_search, args=(model, cluster, sender))
    process.start()
    sender.close()
    result = receiver.recv()
    process.join()
    return result


def _search(model: str, cluster: str, sender: Any) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from kolossos.plan.job import Job
    from kolossos.plan.search.search import search
    from kolossos.specs.catalogue import load_cluster, load_model

    job = Job.of(load_model(model), load_cluster(cluster), any_schedule=True)
    started, cpu = time.perf_counter(), time.process_time()
    found = search(job)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    sender.send(
        {
            "model": model,
            "cluster": cluster,
            "n_gpus": job.n_gpus,
            "layouts": found.priced,
            "fitting": found.fitting,
            "seconds": seconds,
            "cpu_seconds": cpu,
            "layouts_per_s": found.priced / seconds,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "best": found.best.layout.model_dump() if found.best else None,
            "step_time_s": found.best.step_time_s if found.best else None,
        }
    )
    sender.close()


if __name__ == "__main__":
    main()

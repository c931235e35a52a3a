"""The report as one JSON object, for programs."""

import math
from dataclasses import asdict
from typing import Any

from kolossos.report.compute import Compute
from kolossos.report.laws import LawTable, Standing
from kolossos.report.sections import NO_ADVICE
from kolossos.report.subject import Figure, Subject
from kolossos.specs.counts import count_parameters


def make_record(
    subject: Subject, compute: Compute, standings: list[Standing], table: LawTable, revenue_usd: float | None
) -> dict[str, Any]:
    """Everything the document states; FLOPs, seconds, joules, USD and tokens are the units."""
    count = count_parameters(subject.model)
    return {
        "notice": NO_ADVICE,
        "subject": {"kind": subject.kind, "name": subject.name, "path": subject.path, "state": subject.state},
        "model": {
            "name": subject.model.name,
            "parameters": count.total,
            "active_parameters": count.active,
            "spec": subject.model.model_dump(exclude_none=True),
        },
        "layout": subject.layout,
        "compute": {
            "method_held_against_the_lines": "counted: 6 x matmul weights + causal attention, without recompute",
            "tokens": compute.tokens,
            "tokens_intended": subject.tokens_intended,
            "flops_per_token": compute.per_token,
            "counted_flops": compute.counted,
            "of_it_products_flops": compute.products,
            "of_it_attention_flops": compute.attention,
            "rule_6nd_flops": compute.rule_6nd,
            "recomputed_flops": compute.recomputed,
            "executed_flops": compute.executed,
            "counted_flops_as_intended": compute.intended,
            "given_flops": compute.given,
            "remarks": subject.remarks,
        },
        "n_gpus": subject.n_gpus,
        "time": _figure(subject.seconds),
        "wall_time": subject.goodput.as_values() if subject.goodput else None,
        "steps_by_rank": [
            {"rank": one.rank, "host": one.host, "steps": one.steps, "seconds": one.percentiles()}
            for one in subject.step_times
        ],
        "energy": _figure(subject.energy),
        "carbon": _figure(subject.carbon),
        "cost": _figure(subject.cost),
        "hardware": dict(subject.hardware),
        "data": dict(subject.data),
        "developer_revenue_usd": revenue_usd,
        "laws_as_of": table.as_of,
        "lines": [_standing(standing) for standing in standings],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {key: value for key, value in asdict(figure).items() if value is not None or key == "value"}


def _standing(standing: Standing) -> dict[str, Any]:
    law = standing.law.model_dump(exclude={"duties"}, exclude_none=True)
    return {
        **law,
        "position": standing.position,
        "crossed": standing.crosses,
        "ratio_counted": standing.ratio,
        "ratio_executed": standing.ratio_executed,
        "orders_of_magnitude": math.log10(standing.ratio) if standing.ratio > 0 else None,
        "tokens_to_line": standing.tokens_to_line,
        "above_revenue_line": standing.large,
        "above_cost_line": standing.above_cost,
        "owed": [duty.model_dump() for duty in standing.owed],
        "owed_if_large": [duty.model_dump() for duty in standing.owed_if_large],
    }

"""All three layers of a golden folder and of the earlier moments stored with it."""

from pathlib import Path
from typing import Any

from kolossos.notes.parity.chain import Moment, compare_chain, moment
from kolossos.notes.parity.final import compare_final
from kolossos.notes.parity.fits import compare_fit
from kolossos.notes.parity.golden import open_golden

FROZEN, FROZEN_FROM = "frozen_day10_final_day12", "cutoff_day10"


def compare(folder: Path) -> dict[str, Any]:
    """Layers (a), (b) and (c) of the set in ``folder``, as a JSON-able object; a layer without stored outputs is null.

    Layer (c) comes twice: with both fits at their minimum, and stopped where the official steps stop.

    Raises:
        InputError: the folder is no golden set, or a file of it cannot be read.
    """
    sets = []
    moments: dict[str, tuple[Moment, Moment]] = {}
    for golden in open_golden(folder):
        state = golden.folder.name
        source = FROZEN_FROM if state == FROZEN and FROZEN_FROM in moments else state
        if source not in moments:
            moments[source] = moment(golden), moment(golden, official_steps=True)
        exact, stepped = moments[source]
        layers = {
            "a": compare_fit(golden) if state == folder.name else None,
            "b": compare_final(golden),
            "c": compare_chain(golden, exact),
            "cByOfficialSteps": compare_chain(golden, stepped),
        }
        sets.append({"name": golden.name, "layers": layers, "claims": claims(layers)})
    return {"folder": str(folder), "sets": sets, "allHold": all(all(s["claims"].values()) for s in sets)}


def claims(layers: dict[str, Any]) -> dict[str, bool]:
    """What the layers are to show, and whether they do."""
    a, b, c = layers["a"], layers["b"], layers["c"]
    found: dict[str, bool] = {}
    if a:
        found["a: loss not above any official seed"] = a["notAboveAnyOfficial"]
        found["a: loss within 1e-6 of the stored minimum"] = a["lossWithin1e-6"]
        found["a: parameters within 1e-4 of the stored ones, stopped alike"] = a["parametersWithin1e-4StoppedAlike"]
        found["a: the stored ones continued end within 1e-5 of ours"] = a["differenceAfterResumingFromStored"] <= 1e-5
        found["a: rerun bit-identical"] = a["rerunBitIdentical"]
    if b:
        found["b: same notes"] = b["sameNotes"]
        if "closedFormWithin1e-6" in b:
            found["b: closed form within 1e-6"] = b["closedFormWithin1e-6"]
            found["b: all statuses of the closed form"] = b["statusesOfClosedForm"] == 1.0
        found["b: rules 100 % on official intercepts"] = b["rulesOnOfficialIntercepts"]["statuses"] == 1.0
    if c and "notBelowWorstSeed" in c:
        found["c: not below another official seed"] = c["notBelowWorstSeed"]
        found["c by official steps: not below another official seed"] = layers["cByOfficialSteps"]["notBelowWorstSeed"]
    return found

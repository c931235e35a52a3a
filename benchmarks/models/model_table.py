"""Which decoders are planned from their config.json, and how near their parameter counts are: docs/models.md.

    python benchmarks/models/model_table.py            # writes the tables between the page's markers
    python benchmarks/models/model_table.py --check    # exit code 1 if the page says anything else

The witness is transformers: the network that it builds, on the meta device, of the files in
tests/specs/data/decoder_configs.json and of the defaults of every decoder class that it knows (a minute).
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
sys.path.insert(0, str(Path(__file__).parents[2] / "tests/specs"))
import torch
import transformers
from networks import network_of  # pyright: ignore[reportMissingImports]
from transformers import PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from kolossos.errors import InputError
from kolossos.specs.counts import count_parameters
from kolossos.specs.huggingface import spec_from_config

ROOT = Path(__file__).parents[2]
PAGE, FILES = ROOT / "docs" / "models.md", ROOT / "tests" / "specs" / "data" / "decoder_configs.json"
OLDER = frozenset(json.loads((Path(__file__).parent / "older.json").read_text(encoding="utf-8"))["released before"])
"""Released before the autumn of 2024."""
NO_DECODERS = frozenset(json.loads((Path(__file__).parent / "older.json").read_text(encoding="utf-8"))["no decoders"])
"""Encoders, and decoders that read an encoder's output in every layer."""
WITHIN = 0.005


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("files", _of_files()), ("classes", _of_classes())):
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=table: m[1] + t + m[2], text, flags=re.S)
    if check:
        sys.exit(text != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")


def _of_files() -> str:
    heads = "| file | parameters, B | network, B | active, B | not priced |"
    rows = [heads, "| --- | ---: | ---: | ---: | --- |"]
    entries = json.loads(FILES.read_text(encoding="utf-8"))
    entries.pop("_about")
    for name, entry in sorted(entries.items(), key=lambda one: one[0].lower()):
        spec = spec_from_config(entry["config"], name)
        count = count_parameters(spec)
        try:
            size = f"{sum(p.numel() for p in network_of(entry['config']).parameters()) / 1e9:.3f}"
        except Exception as error:  # whatever transformers says of the file
            print(f"no network: {name}: {type(error).__name__}", file=sys.stderr)
            size = ""
        active = f"{count.active / 1e9:.2f}" if count.active != count.total else ""
        rows.append(f"| {name} | {count.total / 1e9:.3f} | {size} | {active} | {', '.join(spec.not_priced)} |")
    return "\n".join(rows) + "\n"


def _of_classes() -> str:
    rows, priced, near, refused = [], 0, 0, 0
    classes = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES | MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    for family, name in sorted(classes.items()):
        network = None if family in NO_DECODERS else _network(family, name if isinstance(name, str) else name[0])
        if network is None:
            continue
        config, size = network
        recent = family not in OLDER
        try:
            spec = spec_from_config(config, family)
        except InputError as error:
            why = str(error).removeprefix("config.json: ").split("; what comes")[0].split("is not supported: ")[-1]
            rows.append(f"| {family} | {size / 1e9:.3f} | refused | | {why} |")
            refused += recent
            continue
        count = count_parameters(spec).total
        off = count / size - 1
        priced, near = priced + recent, near + (recent and abs(off) <= WITHIN)
        left = ", ".join(spec.not_priced)
        rows.append(f"| {family} | {size / 1e9:.3f} | {count / 1e9:.3f} | {100 * off:+.3f} % | {left} |")
    percent = 100 * priced / (priced + refused)
    share = (
        f"Of {priced + refused} classes of the last two years {priced} are priced ({percent:.0f} %), {near} of these "
        f"within {100 * WITHIN:g} % of the network; {refused} are refused, each with its reason."
    )
    heading = "| class | network, B | counted, B | off | not priced, or why it is refused |"
    return "\n".join([share, "", heading, "| --- | ---: | ---: | ---: | --- |", *rows]) + "\n"


def _network(family: str, name: str) -> tuple[dict[str, Any], int] | None:
    """The class's own configuration with everything spelt out, and the parameters of its language model.

    None where its defaults build none, or no language model stands apart in it.
    """
    try:
        made = CONFIG_MAPPING[family]()
        with torch.device("meta"):
            network = getattr(transformers, name)._from_config(made)
    except Exception as error:  # whatever transformers says of its own defaults
        print(f"left out: {family}: {type(error).__name__}", file=sys.stderr)
        return None
    sizes = {key: p.numel() for key, p in network.named_parameters()}
    if isinstance(getattr(made, "text_config", None), PretrainedConfig):
        sizes = {key: n for key, n in sizes.items() if "language_model" in key or key.startswith("lm_head")}
        if not any("language_model" in key for key in sizes):
            print(f"left out: {family}: no language model apart", file=sys.stderr)
            return None
    config = json.loads(made.to_json_string(use_diff=False)) | {"architectures": [name]}
    return config, sum(sizes.values())


if __name__ == "__main__":
    main()

"""How good search is: nDCG@10 and recall@10 by words, by meaning and by both, with the half that nothing was chosen on.

python benchmarks/ground/retrieval.py --data FOLDER --embed MODEL [--cranfield FOLDER] [--write]

FOLDER holds xquad.en.json and climate-fever.jsonl, each used if it is there. The whole way is measured: sources into
an index on the disk, questions through its searcher. Vectors of sources are in the index; those of questions are made
once.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from ground.judged import Set, climate_fever, cranfield, ndcg, recall, xquad
from machine import describe
from pages import RESULTS

from kolossos.ground import fusion
from kolossos.ground.embed import Embedder
from kolossos.ground.index.search import FolderSearcher
from kolossos.ground.index.write import FolderStore
from kolossos.ground.source import Query

Way = Callable[[FolderSearcher, Query], list[str]]


def rank_fusion(searcher: FolderSearcher, query: Query, count: int = 50) -> list[str]:
    """Reciprocal rank fusion (Cormack et al. 2009, k = 60) of the two lists of sources, to compare with."""
    scores: defaultdict[str, float] = defaultdict(float)
    for name in ("lexical rank", "dense rank"):
        listed = sorted((hit for hit in searcher.search(query, 200) if name in hit.why), key=lambda hit: hit.why[name])
        for rank, key in enumerate(keys(listed), start=1):
            scores[key] += 1 / (60 + rank)
    return sorted(scores, key=lambda key: (-scores[key], key))[:count]


def with_weight(weight, call):
    """``call()`` with another weight of the words."""
    kept, fusion.LEXICAL_WEIGHT = fusion.LEXICAL_WEIGHT, weight
    try:
        return call()
    finally:
        fusion.LEXICAL_WEIGHT = kept


class AskedOnce:
    """The vectors of all questions, made in batches before they are asked one by one."""

    def __init__(self, embedder: Embedder, texts: list[str]) -> None:
        self.identity = embedder.identity
        self._vectors = dict(zip(texts, embedder.queries(texts), strict=True))

    def queries(self, texts: list[str]) -> np.ndarray:
        return np.stack([self._vectors[text] for text in texts])


def measure(judged: Set, model: Path) -> dict:
    """The figures of one set."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with FolderStore(Path(folder) / "index", model).writing() as writer:
            writer.write(judged.sources, judged.name)
            writer.finish()
        indexed_s = time.perf_counter() - started
        searcher = FolderSearcher(Path(folder) / "index")
        searcher._embedder = AskedOnce(Embedder(model), [q.text for q in judged.questions])  # pyright: ignore
        rows = {name: scored(judged, WAYS[name], searcher) for name in WAYS}
    return {
        "sources": len(judged.sources),
        "questions": len(judged.questions),
        "index_s": indexed_s,
        "ways": rows,
    }


def scored(judged: Set, way: Way, searcher: FolderSearcher) -> dict[str, float]:
    """One way to search, over all questions and over each half."""
    gains: dict[bool, list[float]] = {True: [], False: []}
    recalls = []
    for question in judged.questions:
        found = way(searcher, Query(question.text))
        gains[question.tuned].append(ndcg(found, question.relevant))
        recalls.append(recall(found, question.relevant))
    return {
        "ndcg_tuned": mean(gains[True]),
        "ndcg_held_out": mean(gains[False]),
        "ndcg": mean(gains[True] + gains[False]),
        "recall": mean(recalls),
    }


def keys(hits) -> list[str]:
    """The sources of hits, each once."""
    return list(dict.fromkeys(hit.passage.source.key for hit in hits))


def page(result: dict) -> str:
    """The figures as a table."""
    lines = ["| set | sources, questions | way | nDCG@10 held out | tuned half | all | recall@10 |"]
    lines.append("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for name, one in result["sets"].items():
        for way, row in one["ways"].items():
            first = (name, f"{one['sources']:,}, {one['questions']:,}") if way == "words (BM25)" else ("", "")
            figures = (row["ndcg_held_out"], row["ndcg_tuned"], row["ndcg"], row["recall"])
            lines.append(f"| {first[0]} | {first[1]} | {way} | " + " | ".join(f"{x:.3f}" for x in figures) + " |")
    where = f"{result['machine']['cpu']}, {result['date']}; `python benchmarks/ground/retrieval.py`"
    return "\n".join([*lines, "", f"(Vectors: {result['model']}; {where})"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--embed", type=Path, required=True)
    parser.add_argument("--cranfield", type=Path)
    parser.add_argument("--model-name", default="all-MiniLM-L6-v2")
    parser.add_argument("--write", action="store_true", help="into benchmarks/results")
    options = parser.parse_args()
    sets = [read(options.data / name) for name, read in READERS.items() if (options.data / name).exists()]
    sets += [cranfield(options.cranfield)] if options.cranfield else []
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe(),
        "model": options.model_name,
        "lexical_weight": fusion.LEXICAL_WEIGHT,
        "sets": {judged.name: measure(judged, options.embed) for judged in sets},
    }
    if options.write:
        (RESULTS / f"ground-retrieval-{result['date']}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(page(result))


WAYS: dict[str, Way] = {
    "words (BM25)": lambda searcher, query: with_weight(1.0, lambda: keys(searcher.search(query, 50))),
    "meaning (vectors)": lambda searcher, query: with_weight(0.0, lambda: keys(searcher.search(query, 50))),
    "rank fusion": rank_fusion,
    "both": lambda searcher, query: keys(searcher.search(query, 50)),
}
READERS = {"xquad.en.json": xquad, "climate-fever.jsonl": climate_fever}

if __name__ == "__main__":
    main()

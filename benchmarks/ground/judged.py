"""Sets of questions whose answers are known, as sources and judgements; and what is measured with them.

XQuAD: a paragraph is relevant if the question was written for it. CLIMATE-FEVER: an evidence sentence is relevant if
it is labelled as supporting or refuting the claim; the corpus are all evidence sentences. Cranfield: by its grades.
Half of each set, by a hash of what groups its questions (article, claim, query), is for choices ("tuned"); the other
is not looked at when choosing ("held out").
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from kolossos.ground.source import Source


@dataclass(frozen=True)
class Question:
    """A query, the gain of each relevant key, and the group that decides its half."""

    text: str
    relevant: dict[str, float]
    group: str

    @property
    def tuned(self) -> bool:
        return hashlib.sha256(self.group.encode()).digest()[0] % 2 == 0


@dataclass(frozen=True)
class Set:
    """A corpus and its questions."""

    name: str
    sources: list[Source]
    questions: list[Question]


def xquad(path: Path) -> Set:
    """From a file in SQuAD's layout."""
    sources, questions = [], []
    for article in json.loads(path.read_bytes())["data"]:
        title = article["title"].replace("_", " ")
        for paragraph in article["paragraphs"]:
            key = str(len(sources))
            sources.append(Source(key, "document", paragraph["context"], title))
            questions += [Question(q["question"], {key: 1}, article["title"]) for q in paragraph["qas"]]
    return Set("XQuAD (English)", sources, questions)


def climate_fever(path: Path) -> Set:
    """From its JSON Lines; claims without any labelled evidence are asked of nothing and left out."""
    sources: dict[str, Source] = {}
    questions = []
    for line in path.read_text().splitlines():
        claim = json.loads(line)
        for evidence in claim["evidences"]:
            key = evidence["evidence_id"]
            sources.setdefault(key, Source(key, "document", evidence["evidence"], evidence["article"]))
        labelled = [e for e in claim["evidences"] if e["evidence_label"] in ("SUPPORTS", "REFUTES")]
        if labelled:
            questions.append(Question(claim["claim"], {e["evidence_id"]: 1 for e in labelled}, claim["claim_id"]))
    return Set("CLIMATE-FEVER", list(sources.values()), questions)


def cranfield(folder: Path) -> Set:
    """From cran_docs.json, cran_queries.json and cran_qrels.json; gains are 4 for grade 1 down to 1 for grade 4."""
    docs = json.loads((folder / "cran_docs.json").read_bytes())
    queries = json.loads((folder / "cran_queries.json").read_bytes())
    gains: dict[int, dict[str, float]] = {}
    for judged in json.loads((folder / "cran_qrels.json").read_bytes()):
        gains.setdefault(int(judged["query_num"]), {})[str(judged["id"])] = 5 - judged["position"]
    sources = [Source(str(doc["id"]), "document", doc["body"], doc["title"]) for doc in docs if doc["body"].strip()]
    questions = [
        Question(query["query"], gains[number], str(query["query number"]))
        for number, query in enumerate(queries, start=1)
        if gains.get(number)
    ]
    return Set("Cranfield", sources, questions)


def ndcg(found: list[str], relevant: dict[str, float], depth: int = 10) -> float:
    """Normalised discounted cumulative gain of the first ``depth`` keys (Järvelin and Kekäläinen 2002)."""
    gained = sum(relevant.get(key, 0) / math.log2(place + 2) for place, key in enumerate(found[:depth]))
    best = sorted(relevant.values(), reverse=True)[:depth]
    return gained / sum(gain / math.log2(place + 2) for place, gain in enumerate(best))


def recall(found: list[str], relevant: dict[str, float], depth: int = 10) -> float:
    """The share of the relevant keys among the first ``depth``."""
    return len(set(found[:depth]) & relevant.keys()) / len(relevant)

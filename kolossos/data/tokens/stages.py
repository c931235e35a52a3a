"""The stages of ``prepare`` inside its partial folder. Each can be entered again after an interruption."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from kolossos import __version__
from kolossos.data.corpus.documents import DocumentRecord
from kolossos.data.corpus.manifest import (
    SPLIT_NAMES,
    VALIDATION_TEXT_FILE,
    Manifest,
    SourceRecord,
    SplitName,
    SplitRecord,
    TokenizerRecord,
)
from kolossos.data.corpus.shards import ShardWriter, token_dtype_name
from kolossos.data.document import storable
from kolossos.data.documents.gather import Gathered, Task, gather, plan_tasks
from kolossos.data.documents.in_order import run_in_order
from kolossos.data.documents.sources import Source
from kolossos.data.option_error import OptionError
from kolossos.data.options import PrepareOptions
from kolossos.data.progress import Progress
from kolossos.data.tokenizer import TOKENIZER_FILE, Tokenizer
from kolossos.data.tokens.decide import Decisions, KeptBatch, decide, kept_batches
from kolossos.data.tokens.partial import PartialFolder, Plan
from kolossos.errors import InputError
from kolossos.files import sha256_of, whole_file

TOKENIZER_SAMPLE_BYTES = 256 << 20  # more text changes a vocabulary little and costs memory and time


class ReadingStopped(Exception):
    """Bad input met while sources were read; what was read of others until then is good."""

    def __init__(self, error: InputError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class Chosen:
    """The tasks that were gathered and what was decided about their documents."""

    tasks: list[Task]
    gathered: list[Gathered]
    decisions: Decisions

    def batches(self, only: SplitName | None = None, records: bool = False) -> Iterator[KeptBatch]:
        return kept_batches(self.tasks, self.decisions, only, records)

    def dropped(self) -> dict[str, int]:
        """Documents (and files that are no text) left out, by reason."""
        return dict(sorted(sum((Counter(g.dropped) for g in self.gathered), self.decisions.dropped).items()))


def make_corpus(
    partial: PartialFolder,
    sources: Sequence[Source],
    options: PrepareOptions,
    plan: Plan,
    *,
    given_tokenizer: Tokenizer | None,
    workers: int,
    progress: Progress,
) -> Manifest:
    """Write everything but the manifest into ``partial.path`` and return the manifest."""
    all_tasks = plan_tasks(sources, partial.gathered, options)
    partial.keep_only(task.work_file.name for task in all_tasks)
    try:
        tasks, gathered = gather_all(all_tasks, options.limit_bytes, workers, progress)
    except InputError as error:
        raise ReadingStopped(error) from error
    chosen = Chosen(tasks, gathered, decide(tasks, options))
    source_records = [_source_record(source, number, chosen) for number, source in enumerate(sources)]
    if not any(chosen.decisions.splits):
        reasons = ", ".join(f"{reason} {count}" for reason, count in chosen.dropped().items())
        bad = next((f"; the first bad line: {r.first_bad_line}" for r in source_records if r.first_bad_line), "")
        raise InputError(f"no document is left of {', '.join(s.argument for s in sources)} (dropped: {reasons}){bad}")
    tokenizer = make_tokenizer(partial, chosen, options.vocab_size, given_tokenizer, progress)
    splits = write_shards(partial, chosen, tokenizer, options.shard_tokens, progress)
    validation_text = partial.path / VALIDATION_TEXT_FILE
    with whole_file(validation_text) as file:
        for batch in chosen.batches("validation"):
            file.writelines(text.encode() for text in batch.texts)
    return Manifest(
        kolossos_version=__version__,
        options=plan.options,
        sources=source_records,
        dropped=chosen.dropped(),
        masked=dict(sorted(sum((Counter(g.masked) for g in chosen.gathered), Counter()).items())),
        tokenizer=TokenizerRecord(sha256=tokenizer.sha256, vocab_size=tokenizer.vocab_size, eos_id=tokenizer.eos_id),
        dtype=token_dtype_name(tokenizer.vocab_size),
        splits=splits,
        validation_text_sha256=sha256_of(validation_text),
    )


def gather_all(
    tasks: Sequence[Task], limit_bytes: int | None, workers: int, progress: Progress
) -> tuple[list[Task], list[Gathered]]:
    """Do the tasks in parallel; with a limit, stop behind the task that reaches it. Returns the tasks done."""
    total_bytes = sum(task.size_bytes for task in tasks)
    done: list[Task] = []
    gathered: list[Gathered] = []
    kept_bytes = read_bytes = 0
    progress("read", 0, total_bytes)
    isolate = any(task.may_abort for task in tasks)
    work = run_in_order(gather, tasks, min(workers, len(tasks)), isolate=isolate, described=lambda task: task.described)
    with closing(work) as results:
        for task, result in zip(tasks, results, strict=False):
            done.append(task)
            gathered.append(result)
            kept_bytes += result.kept_bytes
            read_bytes += task.size_bytes
            progress("read", read_bytes, total_bytes)
            if limit_bytes is not None and kept_bytes >= limit_bytes:
                progress("read", total_bytes, total_bytes)
                break
    return done, gathered


def _source_record(source: Source, number: int, chosen: Chosen) -> SourceRecord:
    """The manifest's record of a source; InputError if it was read and has no document at all."""
    results = [g for task, g in zip(chosen.tasks, chosen.gathered, strict=True) if task.source_number == number]
    documents = sum(result.documents for result in results)
    first_bad_line = next((result.first_bad_line for result in results if result.first_bad_line), None)
    if results and not documents:
        dropped = sum((Counter(result.dropped) for result in results), Counter[str]())
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items()))
        why = f" ({reasons})" if reasons else ""
        bad = f"; the first bad line: {first_bad_line}" if first_bad_line else ""
        raise InputError(f"source {source.argument} is empty: its {len(source.files)} file(s) hold no text{why}{bad}")
    return SourceRecord(
        argument=storable(source.argument),
        files=len(source.files),
        bytes=source.size_bytes,
        sha256=source.sha256,
        documents=documents,
        not_read=source.not_read,
        first_bad_line=first_bad_line,
    )


def make_tokenizer(
    partial: PartialFolder, chosen: Chosen, vocab_size: int, given: Tokenizer | None, progress: Progress
) -> Tokenizer:
    """The given tokenizer, or one trained on the training split; saved in the partial folder."""
    path = partial.path / TOKENIZER_FILE
    if path.exists():
        return Tokenizer.load(path)
    if given is None:
        tokenizer = Tokenizer.train(_tokenizer_sample(chosen, progress), vocab_size)
        progress("tokenizer", chosen.decisions.kept_bytes, chosen.decisions.kept_bytes)
    else:
        tokenizer = given
    tokenizer.save(path)
    return tokenizer


def _tokenizer_sample(chosen: Chosen, progress: Progress) -> Iterator[str]:
    """Training texts, evenly thinned out if there are more than TOKENIZER_SAMPLE_BYTES."""
    total_bytes = chosen.decisions.kept_bytes
    share = min(1.0, TOKENIZER_SAMPLE_BYTES / total_bytes)
    credit, read_bytes = 1.0, 0
    for batch in chosen.batches("train"):
        for text in batch.texts:
            credit += share
            if credit >= 1:
                credit -= 1
                yield text
            read_bytes += len(text.encode())
        progress("tokenizer", read_bytes, total_bytes)


def _check_lossless(tokenizer: Tokenizer, ids: Sequence[int], text: str, origin: str) -> None:
    """InputError if the tokens of a document do not give it back as it was: the bytes counted would not be theirs."""
    if tokenizer.decode(ids) != text:
        raise OptionError(
            f"the tokenizer does not match the data: it loses text of {origin}; give a lossless byte-level BPE "
            f"tokenizer, or train one",
            "tokenizer",
        )


def write_shards(
    partial: PartialFolder, chosen: Chosen, tokenizer: Tokenizer, shard_tokens: int, progress: Progress
) -> dict[SplitName, SplitRecord]:
    """Tokenize the documents that stay, in source order, into the shards of both splits."""
    dtype = token_dtype_name(tokenizer.vocab_size)
    with ExitStack() as open_writers:
        writers: dict[SplitName, ShardWriter] = {
            name: open_writers.enter_context(
                ShardWriter(
                    partial.path, partial.work, name, dtype=dtype, eos_id=tokenizer.eos_id, shard_tokens=shard_tokens
                )
            )
            for name in SPLIT_NAMES
        }
        _tokenize(chosen, tokenizer, writers, progress)
        return {name: writer.finish() for name, writer in writers.items()}


def _tokenize(chosen: Chosen, tokenizer: Tokenizer, writers: dict[SplitName, ShardWriter], progress: Progress) -> None:
    to_skip = {name: writer.documents_to_skip for name, writer in writers.items()}
    done_bytes, total_bytes = 0, chosen.decisions.kept_bytes
    progress("tokenize", 0, total_bytes)
    for batch in chosen.batches(records=True):
        todo: list[tuple[SplitName, str, str, DocumentRecord]] = []
        for text, origin, split, record in zip(batch.texts, batch.origins, batch.splits, batch.records, strict=True):
            if to_skip[split]:
                to_skip[split] -= 1
            else:
                todo.append((split, text, origin, record))
        ids = tokenizer.encode_batch([text for _, text, *_ in todo])
        for (split, text, origin, record), ids_of_text in zip(todo, ids, strict=True):
            _check_lossless(tokenizer, ids_of_text, text, origin)
            writers[split].add(ids_of_text, len(text.encode()), record)
        done_bytes += sum(len(text.encode()) for text in batch.texts)
        progress("tokenize", done_bytes, total_bytes)

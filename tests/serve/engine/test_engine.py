"""The engine: each answer has the bits it has alone, pages come back, and what cannot be is refused."""

import queue
from dataclasses import replace

import numpy as np
import pytest
import specs
from asking import WAIT_S, ask, random_requests, said, tokens
from test_networks import random_model

from kolossos.errors import InputError
from kolossos.serve.engine.batch import Batch
from kolossos.serve.engine.build import EngineOptions, engine_of
from kolossos.serve.engine.choose import Chooser, Unusable, probabilities, score
from kolossos.serve.engine.loop import EngineLoop
from kolossos.serve.engine.request import Busy, Ended, Request, Sampling, Started, Stopped, Token, TooLong
from kolossos.serve.engine.tiled import TiledDecoder

SPEC = specs.ALL[1]


@pytest.fixture
def engine():
    made = engine_of(random_model(SPEC), EngineOptions(threads=1, most_at_once=6, tokens_a_pass=48))
    yield made
    made.close()


def requests(count: int, seed: int = 0) -> list[Request]:
    return random_requests(count, SPEC.vocab_size, SPEC.max_seq_len, seed)


@pytest.mark.parametrize("weights", ["fp32", "int8"])
def test_the_same_request_has_the_same_bits_alone_and_in_company_cold_and_warm(weights: str) -> None:
    asked = requests(24)
    options = EngineOptions(weights=weights, threads=1)  # type: ignore[arg-type]
    alone = []
    for request in asked:
        fresh = engine_of(random_model(SPEC), options)
        alone.append(said(ask(fresh, [request])[0]))
        fresh.close()
    for threads, tokens_a_pass, most_at_once in ((1, 7, 4), (2, 48, 24), (2, 160, 9)):
        made = engine_of(
            random_model(SPEC),
            replace(options, threads=threads, tokens_a_pass=tokens_a_pass, most_at_once=most_at_once),
        )
        for _ in ("cold", "warm"):
            assert [said(events) for events in ask(made, asked)] == alone
        assert made.status().cached_tokens > 0
        assert made.status().pages_used == 0
        made.close()


def test_torch_alone_is_as_exact() -> None:
    asked = requests(10)
    made = EngineLoop(TiledDecoder(random_model(SPEC), 200), tokens_a_pass=30, most_at_once=5)
    together = [said(events) for events in ask(made, asked)]
    assert [said(ask(made, [request])[0]) for request in asked] == together
    made.close()


def test_a_second_turn_finds_the_first_with_its_answer(engine: EngineLoop) -> None:
    prompt = tuple(range(50))
    (first,) = ask(engine, [Request(prompt, 20, Sampling(temperature=0.0))])
    answer = tuple(tokens(first))
    again = Request((*prompt, *answer, 5, 6, 7), 5, Sampling(temperature=0.0), logprobs=2)
    (warm,) = ask(engine, [again])
    assert isinstance(warm[0], Started)
    assert warm[0].cached_tokens == (len(prompt) + len(answer) - 1) // 16 * 16
    fresh = engine_of(random_model(SPEC), EngineOptions(threads=1))
    (cold,) = ask(fresh, [again])
    assert isinstance(cold[0], Started)
    assert cold[0].cached_tokens == 0
    assert said(warm) == said(cold)
    fresh.close()


def test_a_tokens_score_is_the_decoders(engine: EngineLoop) -> None:
    import torch

    prompt = tuple(range(3, 60, 2))
    (events,) = ask(engine, [Request(prompt, 1, Sampling(temperature=0.0), logprobs=3, prompt_logprobs=2)])
    started, token, ended = events
    with torch.no_grad():
        model = random_model(SPEC)
        logprobs = model.logits(model(torch.tensor([prompt]))[0])[0].log_softmax(-1)
    assert isinstance(started, Started)
    assert isinstance(token, Token)
    assert started.prompt is not None
    assert started.prompt[0] is None
    assert token.scored is not None
    for row, found in zip(logprobs, [*started.prompt[1:], token.scored], strict=True):
        assert found is not None
        assert found.logprob == pytest.approx(float(row[found.token]), abs=1e-4)
        assert [t for t, _ in found.top] == row.topk(len(found.top)).indices.tolist()
        assert [p for _, p in found.top] == pytest.approx(row.topk(len(found.top)).values.tolist(), abs=1e-4)
    assert ended == Ended("length")


def test_an_embedding_is_the_same_in_any_pieces() -> None:
    prompt, made = tuple(range(70)), []
    for tokens_a_pass in (5, 33, 160):
        engine = engine_of(random_model(SPEC), EngineOptions(threads=1, tokens_a_pass=tokens_a_pass))
        (events,) = ask(engine, [Request(prompt, 0, embed=True)])
        assert isinstance(events[0], Started)
        made.append(events[0].embedding)
        engine.close()
    assert made[0] == made[1] == made[2]
    assert np.linalg.norm(made[0]) == pytest.approx(1.0)


def test_who_is_cancelled_leaves_at_once_and_gives_the_pages_back(engine: EngineLoop) -> None:
    heard: queue.Queue = queue.Queue()
    number = engine.submit(Request((1, 2, 3), 200, Sampling(temperature=0.0)), heard.put)
    others = [engine.submit(Request((n, n), 200), lambda _: None) for n in range(20)]  # some of them only wait
    while not isinstance(heard.get(timeout=WAIT_S), Token):
        pass
    for one in (number, *others, number, 12345):
        engine.cancel(one)
    while (event := heard.get(timeout=WAIT_S)) != Ended("cancelled"):
        assert isinstance(event, Token)
    assert len(ask(engine, [Request((1, 2, 3), 4)])[0]) == 6
    status = engine.status()
    assert (status.running, status.waiting, status.pages_used) == (0, 0, 0)
    assert heard.empty()


def test_what_can_never_be_answered_is_refused_at_once_and_the_rest_clamped(engine: EngineLoop) -> None:
    context = engine.context
    with pytest.raises(TooLong, match=f"{context} tokens and the model's context {context}"):
        engine.submit(Request((1,) * context, 1), lambda _: None)
    (scored,) = ask(engine, [Request((1,) * context, 0, prompt_logprobs=0)])
    assert isinstance(scored[0], Started)
    assert len(scored[0].prompt or ()) == context
    (events,) = ask(engine, [Request((1,) * (context - 3), 50, Sampling(temperature=0.0))])
    assert (len(tokens(events)), events[-1]) == (3, Ended("length"))
    small = engine_of(random_model(SPEC), EngineOptions(threads=1, context=64, most_at_once=1))
    with pytest.raises(TooLong):
        small.submit(Request((1,) * 65, 0), lambda _: None)
    small.close()


def test_requests_whose_pages_do_not_fit_together_wait_for_each_other() -> None:
    engine = EngineLoop(TiledDecoder(random_model(SPEC), 6), most_at_once=8)
    asked = [Request(tuple(range(n, n + 30)), 34, Sampling(temperature=0.0)) for n in range(5)]
    together = ask(engine, asked)
    assert max(engine.status().batch_sizes) == 1
    assert [said(e) for e in together] == [said(ask(engine, [r])[0]) for r in asked]
    with pytest.raises(TooLong, match="need 130 places for keys and values and there are 96"):
        engine.submit(Request((1,) * 90, 40), lambda _: None)
    engine.close()


def test_a_full_queue_says_so_and_a_closed_engine_too() -> None:
    engine = engine_of(random_model(SPEC), EngineOptions(threads=1, most_at_once=1, most_waiting=2))
    heard: queue.Queue = queue.Queue()

    def many() -> None:
        for _ in range(100):
            engine.submit(Request((1, 2), 200, Sampling(temperature=0.0)), heard.put)

    with pytest.raises(Busy):
        many()
    engine.close()
    assert not engine.status().alive
    with pytest.raises(Stopped):
        engine.submit(Request((1, 2), 2), heard.put)


def test_draining_lets_what_runs_end() -> None:
    engine = engine_of(random_model(SPEC), EngineOptions(threads=1))
    heard: queue.Queue = queue.Queue()
    engine.submit(Request((1, 2), 30, Sampling(temperature=0.0)), heard.put)
    engine.close(drain_s=WAIT_S)
    events = [heard.get_nowait() for _ in range(heard.qsize())]
    assert events[-1] == Ended("length")
    assert len(events) == 32


def test_samples_differ_and_each_is_its_own(engine: EngineLoop) -> None:
    asked = [Request((5, 6, 7), 12, Sampling(temperature=1.0, seed=3, sample=n)) for n in range(4)]
    together = [tokens(events) for events in ask(engine, asked)]
    assert len(set(map(tuple, together))) == 4
    assert [tokens(ask(engine, [request])[0]) for request in asked] == together


def test_a_model_that_is_not_finite_fails_its_own_request_alone() -> None:
    class Sick(TiledDecoder):
        def forward(self, batch: Batch, hidden: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
            logits, states = super().forward(batch, hidden)
            rows = np.flatnonzero(batch.ids[batch.wanted] == 13)
            logits[rows, 5] = np.nan
            return logits, states

    engine = EngineLoop(Sick(random_model(SPEC), 40))
    good = Request((1, 2, 3), 8, Sampling(temperature=0.0, logit_bias={13: -100}), logprobs=0)
    (alone,) = ask(engine, [good])
    bad, beside = ask(engine, [Request((1, 2, 13), 8), good])
    assert isinstance(bad[-1], Ended)
    assert bad[-1].reason == "failed"
    assert "not finite" in bad[-1].message
    assert said(beside) == said(alone)
    engine.close()


def test_an_engine_with_a_fault_of_its_own_says_so_and_stops() -> None:
    class Broken(TiledDecoder):
        def forward(self, batch: Batch, hidden: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
            raise MemoryError("no room")

    engine = EngineLoop(Broken(random_model(SPEC), 40))
    (events,) = ask(engine, [Request((1, 2), 3)])
    assert events == [Ended("failed", "the engine has failed: MemoryError: no room")]
    assert not engine.status().alive
    with pytest.raises(Stopped, match="no room"):
        engine.submit(Request((1, 2), 3), lambda _: None)
    engine.close()


class OneOf:
    """A grammar that allows the same tokens always."""

    def __init__(self, *allowed: int):
        self.mask = np.zeros(SPEC.vocab_size, dtype=bool)
        self.mask[list(allowed)] = True
        self.accepted: list[int] = []

    def allowed(self) -> np.ndarray:
        return self.mask

    def accept(self, token: int) -> None:
        self.accepted.append(token)


def test_a_grammar_decides_what_may_come(engine: EngineLoop) -> None:
    grammar = OneOf(7, 9)
    (events,) = ask(engine, [Request((1, 2), 10, Sampling(temperature=1.0), grammar=grammar)])
    assert set(tokens(events)) <= {7, 9}
    assert grammar.accepted == tokens(events)
    (nothing,) = ask(engine, [Request((1, 2), 10, Sampling(logit_bias={7: -100}), grammar=OneOf(7))])
    assert nothing[-1] == Ended("failed", "no token is allowed here: the grammar and logit_bias exclude each other")


def test_draws_have_the_probabilities_of_the_filters_in_their_order() -> None:
    logits = np.log(np.array([0.4, 0.3, 0.2, 0.05, 0.05]))
    whole = probabilities(logits, Sampling())
    assert whole / whole.sum() == pytest.approx([0.4, 0.3, 0.2, 0.05, 0.05])
    assert np.flatnonzero(probabilities(logits, Sampling(top_k=2))).tolist() == [0, 1]
    assert np.flatnonzero(probabilities(logits, Sampling(top_p=0.5))).tolist() == [0, 1]
    assert np.flatnonzero(probabilities(logits, Sampling(top_p=0.39))).tolist() == [
        0
    ]  # 0.4 would be a matter of rounding
    assert np.flatnonzero(probabilities(logits, Sampling(min_p=0.5))).tolist() == [0, 1, 2]
    drawn = np.zeros(5)
    for seed in range(2000):
        token, _ = Chooser(Request((1,), 1, Sampling(seed=seed))).choose(logits.astype(np.float32))
        drawn[token] += 1
    assert drawn / 2000 == pytest.approx([0.4, 0.3, 0.2, 0.05, 0.05], abs=0.04)


def test_penalties_and_biases_touch_only_what_they_name() -> None:
    logits = np.array([2.0, 1.9, 0.0, -1.0], dtype=np.float32)
    chooser = Chooser(Request((1,), 4, Sampling(temperature=0.0, frequency_penalty=0.15)))
    assert [chooser.choose(logits)[0] for _ in range(4)] == [0, 1, 0, 1]
    biased = Chooser(Request((1,), 4, Sampling(temperature=0.0, logit_bias={0: -100, 3: 2.95})))
    assert biased.choose(logits)[0] == 3
    with pytest.raises(Unusable):
        biased.choose(np.array([1.0, np.inf, 0.0, 0.0], dtype=np.float32))


def test_of_equals_the_first_is_the_likeliest() -> None:
    found = score(np.array([0.0, 1.0, 1.0, 1.0], dtype=np.float32), 3, 2)
    assert [token for token, _ in found.top] == [1, 2]
    assert found.logprob == found.top[0][1]


@pytest.mark.parametrize(
    "wrong", [{"weights": "fp16"}, {"threads": 0}, {"context": 0}, {"tokens_a_pass": 0}, {"memory_bytes": -1}]
)
def test_options_out_of_range_are_refused_by_name(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong)).split("_")[0]):
        EngineOptions(**wrong)


def test_a_context_that_memory_does_not_hold_is_cut_or_refused() -> None:
    heard: list[str] = []
    a_page = 2 * 4 * 16 * SPEC.n_layers * SPEC.n_kv_heads * SPEC.head_dim
    engine = engine_of(random_model(SPEC), EngineOptions(threads=1, memory_bytes=4 * a_page), heard.append)
    assert engine.context == 64
    assert "cut to 64 tokens" in heard[-1]
    engine.close()
    with pytest.raises(InputError, match=r"keys and values of 128 tokens need"):
        engine_of(random_model(SPEC), EngineOptions(threads=1, context=128, memory_bytes=4 * a_page))
    with pytest.raises(InputError, match="made for 256 tokens"):
        engine_of(random_model(SPEC), EngineOptions(context=300))


def test_a_long_prompt_does_not_hold_up_the_answers_under_way() -> None:
    engine = EngineLoop(TiledDecoder(random_model(SPEC), 60), tokens_a_pass=12)
    heard: queue.Queue = queue.Queue()
    engine.submit(Request((1, 2), 100, Sampling(temperature=0.0)), lambda event: heard.put(("short", event)))
    while not isinstance(heard.get(timeout=WAIT_S)[1], Token):
        pass
    engine.submit(Request(tuple(range(90)), 1), lambda event: heard.put(("long", event)))
    between = 0
    while (got := heard.get(timeout=WAIT_S))[0] == "short" and not isinstance(got[1], Ended):
        between += 1
    assert got[0] == "long"
    assert between >= 90 // 12  # a token at least with each piece of the prompt
    engine.close()


def test_no_answer_is_touched_by_pages_that_were_others() -> None:
    asked = [replace(request, prompt_logprobs=None) for request in requests(40, seed=4)]
    roomy = engine_of(random_model(SPEC), EngineOptions(threads=1))
    alone = [said(ask(roomy, [request])[0]) for request in asked]
    roomy.close()
    tight = engine_of(random_model(SPEC), EngineOptions(threads=1, most_at_once=3))  # pages for three contexts
    assert tight.status().pages == 3 * SPEC.max_seq_len // 16 < sum(len(r.prompt) for r in asked) // 16
    for _ in range(3):
        assert [said(events) for events in ask(tight, asked)] == alone
    assert tight.status().cached_tokens > 0
    tight.close()


def test_a_grammar_that_gives_up_fails_its_own_request_alone(engine: EngineLoop) -> None:
    class GivesUp(OneOf):
        def accept(self, token: int) -> None:
            super().accept(token)
            if len(self.accepted) == 2:
                raise InputError("the grammar is too much")

    bad, good = ask(engine, [Request((1, 2), 9, grammar=GivesUp(5, 6)), Request((1, 2), 9)])
    assert bad[-1] == Ended("failed", "the grammar is too much")
    assert good[-1] == Ended("length")
    assert engine.status().pages_used == 0

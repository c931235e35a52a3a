"""Generation with a cache equals generation without one, and no sequence feels its neighbours."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kolossos.serve.generate as generating
from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.serve.cache import STEP
from kolossos.serve.generate import TokenEvent, generate
from kolossos.serve.options import GenerationOptions

PROMPTS = [[70, 71, 72], [80], list(range(60, 100)), [65, 66, 67, 68, 69, 70, 71, 72, 73]]
GREEDY = GenerationOptions(temperature=0.0, max_new_tokens=12)
SAMPLED = GenerationOptions(temperature=1.0, max_new_tokens=12, seed=11)


class Endless(Tokenizer):
    """The tokenizer whose end token no model predicts, so that lengths are known beforehand."""

    def __init__(self, tokenizer: Tokenizer):
        super().__init__(tokenizer._json_text)
        self.eos_id, self.stop_ids = -1, frozenset()


@pytest.fixture(scope="module")
def endless(tokenizer: Tokenizer) -> Endless:
    return Endless(tokenizer)


def tokens_of(events: list[TokenEvent]) -> dict[int, list[int]]:
    ordered = sorted(events, key=lambda event: event.index)  # stable: tokens stay in order
    return {index: [e.token for e in group] for index, group in itertools.groupby(ordered, lambda e: e.index)}


@torch.no_grad()
def greedy_without_cache(model: Decoder, prompt: list[int], n: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(n):
        hidden, _ = model(torch.tensor([tokens]))
        tokens.append(int(model.logits(hidden[:, -1:]).argmax()))
    return tokens[len(prompt) :]


def test_the_model_of_these_tests_feels_every_token_of_a_prompt(model: Decoder) -> None:
    prompt = list(range(70, 90))
    made = greedy_without_cache(model, prompt, 12)
    others = [greedy_without_cache(model, [*prompt[:i], 65, *prompt[i + 1 :]], 12) for i in range(len(prompt))]
    assert sum(other != made for other in others) > 15


@pytest.mark.parametrize("prefill_tokens", [512, 7])
def test_cached_batch_equals_full_forward_without_cache(
    model: Decoder, endless: Endless, prefill_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generating, "PREFILL_TOKENS", prefill_tokens)
    made = tokens_of(list(generate(model, endless, PROMPTS, GREEDY)))
    assert made == {i: greedy_without_cache(model, prompt, 12) for i, prompt in enumerate(PROMPTS)}
    assert len({tuple(tokens) for tokens in made.values()}) == len(PROMPTS), "a model that says one thing tests nothing"


def test_cache_grows_beyond_its_first_length(model: Decoder, endless: Endless) -> None:
    n = STEP + 20
    options = GenerationOptions(temperature=0.0, max_new_tokens=n)
    made = tokens_of(list(generate(model, endless, PROMPTS[:2], options)))
    assert made[0] == greedy_without_cache(model, PROMPTS[0], n)


@pytest.mark.parametrize("options", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_a_sequence_is_the_same_alone_as_in_a_batch(
    model: Decoder, tokenizer: Tokenizer, options: GenerationOptions
) -> None:
    batch = tokens_of(list(generate(model, tokenizer, PROMPTS, options)))
    for index, prompt in enumerate(PROMPTS):
        alone = tokens_of(list(generate(model, tokenizer, [prompt], options, first_index=index)))
        assert alone == {index: batch[index]}


def test_neighbours_that_end_early_leave_the_others_alone(model: Decoder, endless: Endless) -> None:
    """Stop text "e" ends sequences at different steps; the survivors go on as without it."""
    long = GenerationOptions(temperature=1.0, max_new_tokens=40, seed=2)
    stopping = GenerationOptions(temperature=1.0, max_new_tokens=40, seed=2, stop=("e",))
    free = tokens_of(list(generate(model, endless, PROMPTS * 3, long)))
    stopped = tokens_of(list(generate(model, endless, PROMPTS * 3, stopping)))
    assert len({len(tokens) for tokens in stopped.values()}) > 3
    for index, tokens in stopped.items():
        assert tokens == free[index][: len(tokens)]


def test_the_seed_decides(model: Decoder, endless: Endless) -> None:
    first, again = (tokens_of(list(generate(model, endless, PROMPTS, SAMPLED))) for _ in range(2))
    other = tokens_of(list(generate(model, endless, PROMPTS, GenerationOptions(12, 1.0, seed=12))))
    assert first == again
    assert all(first[i] != other[i] for i in first)


def test_equal_prompts_draw_from_streams_of_their_own(model: Decoder, endless: Endless) -> None:
    made = tokens_of(list(generate(model, endless, [PROMPTS[0]] * 4, SAMPLED)))
    assert len({tuple(tokens) for tokens in made.values()}) == 4


def test_tokens_that_the_tokenizer_lacks_are_never_chosen(model: Decoder, tokenizer: Tokenizer) -> None:
    small = Endless(tokenizer)
    small.vocab_size = 90
    flat = GenerationOptions(temperature=50.0, max_new_tokens=60)
    made = tokens_of(list(generate(model, small, PROMPTS, flat)))
    assert 80 < max(max(tokens) for tokens in made.values()) < 90


def test_generation_in_bf16_runs(model: Decoder, endless: Endless) -> None:
    narrow = copy.deepcopy(model).bfloat16()
    made = tokens_of(list(generate(narrow, endless, PROMPTS, GREEDY)))
    assert all(len(tokens) == 12 for tokens in made.values())


def test_max_tokens_ends_an_answer(model: Decoder, endless: Endless) -> None:
    events = list(generate(model, endless, PROMPTS[:1], GREEDY))
    assert [e.finish for e in events] == [None] * 11 + ["max tokens"]


def test_the_end_token_ends_an_answer_and_is_no_text(model: Decoder, tokenizer: Tokenizer) -> None:
    likely = greedy_without_cache(model, PROMPTS[0], 5)
    ending = Endless(tokenizer)
    ending.eos_id, ending.stop_ids = likely[3], frozenset({likely[3]})
    events = list(generate(model, ending, PROMPTS[:1], GREEDY))
    cut = likely.index(likely[3]) + 1
    assert [e.token for e in events] == likely[:cut]
    assert events[-1].finish == "end token"
    assert "".join(e.text for e in events) == tokenizer.decode(likely[: cut - 1])


def test_context_ends_an_answer_and_refuses_a_prompt(model: Decoder, endless: Endless) -> None:
    limit = model.spec.max_seq_len
    events = list(generate(model, endless, [[70] * (limit - 3)], GREEDY))
    assert [e.finish for e in events] == [None, None, "context full"]
    with pytest.raises(InputError, match=f"prompt 1 has {limit} tokens and the model's context {limit}"):
        list(generate(model, endless, [[70], [70] * limit], GREEDY))


def test_an_empty_prompt_begins_a_document(model: Decoder, tokenizer: Tokenizer) -> None:
    assert list(generate(model, tokenizer, [[]], GREEDY)) == list(
        generate(model, tokenizer, [[tokenizer.eos_id]], GREEDY)
    )
    assert list(generate(model, tokenizer, [], GREEDY)) == []


def test_pieces_of_text_join_to_the_decoded_tokens(model: Decoder, endless: Endless) -> None:
    options = GenerationOptions(temperature=2.0, max_new_tokens=60, seed=5)
    events = list(generate(model, endless, PROMPTS, options))
    for index, tokens in tokens_of(events).items():
        assert "".join(e.text for e in events if e.index == index) == endless.decode(tokens)


@settings(max_examples=20, deadline=None)
@given(start=st.integers(0, 30), length=st.integers(1, 6))
def test_a_stop_text_is_found_across_tokens_and_left_out(model, tokenizer, start: int, length: int) -> None:
    endless = Endless(tokenizer)
    free = GenerationOptions(temperature=1.0, max_new_tokens=40, seed=4)
    whole = "".join(e.text for e in generate(model, endless, PROMPTS[:1], free))
    stop = whole[start : start + length]
    if not stop or "\N{REPLACEMENT CHARACTER}" in stop:
        return
    options = GenerationOptions(temperature=1.0, max_new_tokens=40, seed=4, stop=(stop, "never in there"))
    events = list(generate(model, endless, PROMPTS[:1], options))
    assert "".join(e.text for e in events) == whole[: whole.index(stop)]
    assert events[-1].finish == "stop text"


def test_broken_weights_are_an_input_error(model: Decoder, tokenizer: Tokenizer) -> None:
    broken = copy.deepcopy(model)
    broken.norm.weight[0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        list(generate(broken, tokenizer, PROMPTS, SAMPLED))

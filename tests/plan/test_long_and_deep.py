"""Layouts that run in public: chunks that hold the embedding or the head alone, sequences beyond the model's length."""

import pytest

from kolossos.plan.answer.record import answer_record
from kolossos.plan.answer.request import PlanRequest, answer_question, read_request
from kolossos.plan.layers import chunk_layers, stage_layers

DEEP = "tp=2,pp=32,vp=3,ep=8,dp_shard=4,micro_batch_size=1,recompute=selective"


def planned(**asked):
    request = {"model": "qwen3-235b-a22b", "cluster": "dgx-h100-256", "tokens": 1e12, "precision": "bf16"}
    return answer_question(read_request(PlanRequest(**{**request, **asked})))


def test_94_layers_are_96_chunks_whose_first_and_last_have_none() -> None:
    chunks = chunk_layers(94, 32, 3)
    assert (chunks[0], chunks[-1], sum(stage_layers(94, 32, 3))) == ([0, 1, 1], [1, 1, 0], 94)
    found = planned(layout=DEEP, global_batch=256, seq_len=4096)
    assert found.played is not None
    assert found.played.step_s == pytest.approx(found.priced.step_time_s, rel=0.025)
    shallow = planned(layout=DEEP.replace("vp=3", "vp=1"), global_batch=256, seq_len=4096)
    assert found.priced.parts["bubble"] < 0.5 * shallow.priced.parts["bubble"]


def test_a_sequence_may_be_longer_than_the_model_was_made_for_and_the_answer_says_so() -> None:
    layout = "tp=4,pp=8,vp=4,cp=8,ep=8,dp_shard=1,micro_batch_size=1,recompute=full"
    found = planned(layout=layout, global_batch=32, seq_len=131_072)
    assert found.job.model.max_seq_len < 131_072
    assert answer_record(found, [])["beyond_model_length"] is True
    assert answer_record(planned(layout=DEEP, global_batch=256, seq_len=4096), [])["beyond_model_length"] is False

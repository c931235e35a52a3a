"""What a layout may be: every rule is named with what would be right, and agrees with itself over columns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolossos.errors import InputError
from kolossos.plan.columns import LayoutColumns
from kolossos.plan.job import Job
from kolossos.plan.rules.check import broken, check
from kolossos.plan.rules.table import RULES
from kolossos.specs.catalogue import load_cluster, load_model
from kolossos.specs.layout import Layout

GROK = Job.of(load_model("grok-1"), load_cluster("dgx-h100-1024")).bounds
LLAMA = Job.of(load_model("llama-3.1-405b"), load_cluster("dgx-h100-1024")).bounds
DEEPSEEK = Job.of(load_model("deepseek-v3-671b"), load_cluster("dgx-h100-1024")).bounds


def layout(**values) -> Layout:
    return Layout.model_validate(
        {"seq_len": 8192, "micro_batch_size": 1, "sharding": "optimizer", "precision": "bf16", **values}
    )


@pytest.mark.parametrize(
    ("values", "rule", "right"),
    [
        ({"tp": 7}, "tp divides the heads", "tp = 6 or 8"),
        ({"tp": 3}, "tp divides the key-value heads", "tp = 2 or 4"),
        ({"tp": 16}, "NVLink domain", "domain of 8"),
        ({"pp": 65}, "no more chunks than layers", "at most 64"),
        ({"pp": 9}, "chunks of whole layers", "pp = 8 or 11"),
        ({"vp": 2}, "vp needs a pipeline", "vp = 1"),
        ({"schedule": "zero-bubble"}, "zero-bubble", "pp > 1"),
        ({"ep": 3}, "ep divides the experts", "8 experts"),
        ({"ep": 8}, "experts fill the ranks", "tp x cp x dp = 1"),
        ({"tp": 2, "etp": 4}, "etp divides", "tp = 2"),
        ({"cp": 8, "seq_len": 8200}, "tp and cp divide the sequence", "2 x cp"),
        ({"pp": 4, "vp": 2, "global_batch_size": 6}, "interleaving", "global_batch_size = 8"),
        ({"dp_shard": 2048, "global_batch_size": 2048}, "enough GPUs", "1,024 h100"),
        ({"tp": 8, "pp": 64, "cp": 4, "global_batch_size": 1}, "enough GPUs", "tp x pp x cp alone is 2,048"),
        ({"sharding": "gradients", "global_batch_size": 4}, "sharded gradients", "4 micro-batches"),
        ({"precision": "nvfp4"}, "precision", "bf16, fp8"),
        ({"precision": "auto"}, "cannot train in auto", "bf16, fp8"),
    ],
)
def test_a_broken_rule_is_named_with_what_would_be_right(values, rule, right):
    with pytest.raises(InputError) as error:
        check(layout(**values), GROK)
    assert rule in str(error.value)
    assert right in str(error.value)
    assert "\n" not in str(error.value)


def test_published_layouts_keep_every_rule():
    """Llama 3.1 405B trained with 126 layers in 128 chunks less one at each end (arXiv:2407.21783, section 3.3.2);
    DeepSeek-V3 61 layers on 16 stages, with 64 ranks of experts (arXiv:2412.19437, section 3.2)."""
    published = (
        (layout(tp=8, pp=16, vp=4, dp_shard=8, global_batch_size=256), LLAMA),
        (layout(pp=16, ep=64, dp_shard=64, global_batch_size=1024), DEEPSEEK),
        (layout(tp=8, pp=8, vp=8, ep=8, etp=1, dp_shard=16, global_batch_size=1024), GROK),
        (layout(tp=4, pp=8, cp=2, ep=8, etp=4, dp_shard=16, global_batch_size=1024, sharding="parameters"), GROK),
    )
    for one, bounds in published:
        check(one, bounds)
        assert broken(LayoutColumns.of(one), bounds) == -1


@settings(deadline=None, max_examples=60)
@given(
    tp=st.integers(1, 16),
    pp=st.integers(1, 12),
    vp=st.integers(1, 4),
    cp=st.integers(1, 4),
    ep=st.integers(1, 8),
    dp=st.integers(1, 16),
    micro=st.integers(1, 4),
    passes=st.integers(1, 8),
)
def test_columns_and_single_layouts_are_judged_alike(tp, pp, vp, cp, ep, dp, micro, passes):
    one = layout(
        tp=tp, pp=pp, vp=vp, cp=cp, ep=ep, dp_shard=dp, micro_batch_size=micro, global_batch_size=micro * dp * passes
    )
    other = layout(tp=8, pp=2)
    rows = broken(LayoutColumns.stack([LayoutColumns.of(one), LayoutColumns.of(other)]), GROK)
    assert rows[1] == -1
    if rows[0] == -1:
        check(one, GROK)
        return
    with pytest.raises(InputError, match=RULES[rows[0]].name):
        check(one, GROK)
    assert np.all(broken(LayoutColumns.of(one), GROK) == rows[0])

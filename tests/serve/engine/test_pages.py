"""Pages: what is found was made by the same tokens, what is held is nobody else's, and nothing is lost."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kolossos.serve.engine.batch import PAGE
from kolossos.serve.engine.pages import ROOT, PagePool

PAGES = 6
words = st.lists(st.integers(0, 1), min_size=1, max_size=4).map(
    lambda bits: [token for bit in bits for token in [bit] * PAGE]
)


class Pool(RuleBasedStateMachine):
    """Sequences that come and go, beside a plain record of what stands on each page."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PagePool(PAGES)
        self.stands: dict[int, tuple[int, ...]] = {}
        self.sequences: list[list[int]] = []

    @rule(tokens=words)
    def come(self, tokens: list[int]) -> None:
        found = self.pool.find(tokens)
        for number, page in enumerate(found):
            assert self.stands[page] == tuple(tokens[: (number + 1) * PAGE])
        missing = len(tokens) // PAGE - len(found)
        if self.pool.free - self.pool.idle_among(found) < missing:
            return
        self.pool.hold(found)
        own = self.pool.take(missing)
        held = {page for pages in self.sequences for page in pages}
        assert not held & set(own)
        assert len(set(own)) == missing
        node = self.pool.node(found[-1]) if found else ROOT
        for number, page in enumerate(own, start=len(found)):
            self.stands[page] = tuple(tokens[: (number + 1) * PAGE])
            node = self.pool.publish(page, node, tokens[number * PAGE : (number + 1) * PAGE])
        self.sequences.append(found + own)

    @rule(which=st.integers(0, 5), hide=st.booleans())
    def go(self, which: int, hide: bool) -> None:
        if which >= len(self.sequences):
            return
        pages = self.sequences.pop(which)
        if hide:
            for page in pages:
                self.pool.hide(page)
        held = {page for others in self.sequences for page in others}
        assert set(self.pool.let_go(pages)) == set(pages) - held

    @invariant()
    def every_page_is_held_or_free(self) -> None:
        held = {page for pages in self.sequences for page in pages}
        assert (self.pool.used, self.pool.free) == (len(held), PAGES - len(held))
        assert 0 <= self.pool.cached <= self.pool.free


Pool.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPool = Pool.TestCase


def test_the_end_of_what_was_let_go_first_is_reused_first() -> None:
    pool = PagePool(3)
    pages = pool.take(3)
    node = ROOT
    for number, page in enumerate(pages):
        node = pool.publish(page, node, [number] * PAGE)
    pool.let_go(pages)
    assert pool.find([0] * PAGE + [1] * PAGE + [2] * PAGE) == pages
    assert pool.take(1) == [pages[2]]
    assert pool.find([0] * PAGE + [1] * PAGE + [2] * PAGE) == pages[:2]

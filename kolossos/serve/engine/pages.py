"""Pages of keys and values: who holds them, and which ones hold tokens that another prompt may begin with.

A full page is published under (the page before it, its tokens), so that what is found by a prompt's tokens was made
by those tokens and no others: nothing rests on hashes being different. Pages that nobody holds stay findable until
their room is needed, the one that was let go first first.
"""

from collections.abc import Sequence

from kolossos.serve.engine.batch import PAGE

ROOT = 0
"""The node before the first page of every sequence."""


class PagePool:
    """Hands out pages by number; not safe for several threads."""

    def __init__(self, pages: int):
        self.pages = pages
        self._holders = [0] * pages
        self._idle: dict[int, None] = dict.fromkeys(range(pages))  # in the order in which they were let go
        self._page_of: dict[tuple[int, tuple[int, ...]], int] = {}
        self._key_of: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._node_of: dict[int, int] = {}
        self._next_node = ROOT + 1

    @property
    def free(self) -> int:
        """Pages that nobody holds."""
        return len(self._idle)

    @property
    def used(self) -> int:
        """Pages that somebody holds."""
        return self.pages - len(self._idle)

    @property
    def cached(self) -> int:
        """Pages that nobody holds and that a prompt may find."""
        return sum(page in self._key_of for page in self._idle)

    def find(self, tokens: Sequence[int]) -> list[int]:
        """The published pages that hold the beginning of ``tokens``, whole pages only; nobody holds them by this."""
        found, node = [], ROOT
        for start in range(0, len(tokens) - PAGE + 1, PAGE):
            page = self._page_of.get((node, tuple(tokens[start : start + PAGE])))
            if page is None:
                break
            found.append(page)
            node = self._node_of[page]
        return found

    def idle_among(self, pages: Sequence[int]) -> int:
        """How many of ``pages`` nobody holds: to hold them takes as many of the free ones."""
        return sum(page in self._idle for page in pages)

    def hold(self, pages: Sequence[int]) -> None:
        """One more holder of each."""
        for page in pages:
            self._idle.pop(page, None)
            self._holders[page] += 1

    def take(self, count: int) -> list[int]:
        """``count`` pages of one's own, from those that were let go longest ago; there must be as many ``free``."""
        assert count <= self.free, (count, self.free)
        taken = [page for page, _ in zip(self._idle, range(count), strict=False)]
        for page in taken:
            self.hide(page)
        self.hold(taken)
        return taken

    def publish(self, page: int, before: int, tokens: Sequence[int]) -> int:
        """``page`` holds ``tokens`` after node ``before`` from now on; returns the node for what follows it.

        Where another page is published as the same, that one stays, and its node is returned.
        """
        key = (before, tuple(tokens))
        other = self._page_of.get(key)
        if other is not None:
            return self._node_of[other]
        self._page_of[key], self._key_of[page] = page, key
        self._node_of[page] = self._next_node
        self._next_node += 1
        return self._node_of[page]

    def node(self, page: int) -> int:
        """The node of a published page."""
        return self._node_of[page]

    def hide(self, page: int) -> None:
        """Nobody finds ``page`` any more, nor what was published behind it."""
        key = self._key_of.pop(page, None)
        if key is not None:
            del self._page_of[key], self._node_of[page]

    def let_go(self, pages: Sequence[int]) -> list[int]:
        """One holder less of each; returns those that nobody holds now. The last of a sequence are reused first."""
        idle = []
        for page in reversed(pages):
            self._holders[page] -= 1
            assert self._holders[page] >= 0, page
            if self._holders[page] == 0:
                self._idle[page] = None
                idle.append(page)
        return idle

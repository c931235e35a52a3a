"""Sources to search, of few words, so that every query finds something."""

import random
from datetime import UTC, datetime, timedelta

from kolossos.ground.source import Note, Source

WORDS = (
    *("whale", "ocean", "ship", "harbour", "storm", "captain", "sailor", "map", "island"),
    *("light", "anchor", "rope", "sail", "wind", "wave", "deck", "crew", "night"),
)
AUTHORS = ("Ann", "bob", "Čapek", "")
LANGUAGES = ("en", "de", "es", "")
START = datetime(2023, 1, 1, tzinfo=UTC)


def made_sources(count: int, seed: int) -> list[Source]:
    """Posts, notes and long documents of few words, so that every query finds something."""
    random_ = random.Random(seed)
    sources = []
    for number in range(count):
        kind = random_.choice(("post", "post", "post", "note", "document"))
        length = random_.randint(300, 500) if kind == "document" else random_.randint(3, 20)
        words = [random_.choice(WORDS) + random_.choice(("", "", "s", ".", "!", "\n\n")) for _ in range(length)]
        noted = random_.random() < 0.3
        sources.append(
            Source(
                key=f"key{number}",
                kind=kind,
                text=" ".join(words).strip() + f" n{number}",
                title=random_.choice(WORDS).title() if kind == "document" else "",
                author=random_.choice(AUTHORS),
                date=START + timedelta(hours=random_.randrange(9000)) if random_.random() < 0.9 else None,
                language=random_.choice(LANGUAGES),
                notes=(Note("1", "About that", "CURRENTLY_RATED_HELPFUL", START),) if noted else (),
            )
        )
    return sources

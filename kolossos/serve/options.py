"""What a person may ask of generation, checked on entry."""

from dataclasses import dataclass

from kolossos.errors import InputError


@dataclass(frozen=True)
class GenerationOptions:
    """How to choose tokens and when to stop.

    temperature: divides the logits; 0 takes the most likely token always (greedy).
    top_k: keep the k most likely tokens. top_p: of these the fewest that have this share of the probability (Holtzman
    et al., arXiv:1904.09751). min_p: of these the ones at least this fraction as likely as the likeliest (Nguyen et
    al., arXiv:2407.01082).
    stop: texts that end an answer and are left out of it.
    """

    max_new_tokens: int = 128
    temperature: float = 0.8
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """InputError naming the option that is out of range."""
        checks = [
            ("max-tokens", self.max_new_tokens, self.max_new_tokens >= 1, "1 or more"),
            ("temperature", self.temperature, 0.0 <= self.temperature < float("inf"), "0 (greedy) or more"),
            ("top-k", self.top_k, self.top_k is None or self.top_k >= 1, "1 or more"),
            ("top-p", self.top_p, 0.0 < self.top_p <= 1.0, "above 0 and at most 1"),
            ("min-p", self.min_p, 0.0 <= self.min_p <= 1.0, "from 0 to 1"),
            ("seed", self.seed, 0 <= self.seed < 2**63, "0 or more, below 2^63"),
            ("stop", "", "" not in self.stop, "a text that is not empty"),
        ]
        for name, value, good, wanted in checks:
            if not good:
                raise InputError(f"{name} {value!r} is out of range: it must be {wanted}")

"""Training compute by each way of counting that a regulator or a reader may mean."""

from dataclasses import dataclass

from kolossos.report.subject import Subject
from kolossos.specs.counts import attention_flops_per_token, count_parameters, training_flops_per_token


@dataclass(frozen=True)
class Compute:
    """FLOPs of the tokens seen (``tokens``) by method; ``per_token`` is the counted one, without recompute.

    ``products`` is 6 x the matmul weights, ``attention`` the rest of the counted sum; ``rule_6nd`` takes the active
    parameters for N; ``executed`` adds what recompute repeats; ``intended`` is counted for the tokens intended.
    """

    tokens: float
    per_token: float
    counted: float
    products: float
    attention: float
    rule_6nd: float
    recomputed: float
    executed: float
    intended: float
    given: float | None

    @property
    def given_over_counted(self) -> float | None:
        """What the input file states over our own count."""
        return self.given / self.counted if self.given and self.counted else None


def count_compute(subject: Subject) -> Compute:
    """All counts of ``subject``."""
    parameters = count_parameters(subject.model)
    per_token = training_flops_per_token(subject.model, subject.seq_len)
    attention = 3 * attention_flops_per_token(subject.model, subject.seq_len)
    repeated = recomputed_share(subject) * per_token
    return Compute(
        tokens=subject.tokens,
        per_token=per_token,
        counted=per_token * subject.tokens,
        products=(per_token - attention) * subject.tokens,
        attention=attention * subject.tokens,
        rule_6nd=6.0 * parameters.active * subject.tokens,
        recomputed=repeated * subject.tokens,
        executed=(per_token + repeated) * subject.tokens,
        intended=per_token * subject.tokens_intended,
        given=subject.given_model_flops,
    )


def recomputed_share(subject: Subject) -> float:
    """FLOPs repeated by activation recompute, over the model FLOPs.

    full: one more forward pass, a third of forward and backward; selective: the attention core's forward alone
    (arXiv:2205.05198, section 5).
    """
    if subject.recompute == "full":
        return 1 / 3
    if subject.recompute == "selective":
        forward = attention_flops_per_token(subject.model, subject.seq_len)
        return forward / training_flops_per_token(subject.model, subject.seq_len)
    return 0.0

"""What requests may say. Whole numbers only; a field that is not known is an error."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from kolossos.notes.oracle.questions import LONGEST_TEXT

Name = Annotated[StrictStr, Field(max_length=60)]
Text = Annotated[StrictStr, Field(max_length=LONGEST_TEXT)]
Reason = Annotated[StrictStr, Field(max_length=1_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewPerson(_Body):
    """An account to make; ``credits`` in micro-credits."""

    name: Name
    role: Literal["operator", "auditor", "bot", "rater"]
    credits: StrictInt = 0


class Grant(_Body):
    """Credits to give (micro-credits), or to take where negative."""

    credits: StrictInt


class NewMarket(_Body):
    """A market to open: on a note (``note``) or a post with its candidate notes as ``outcomes``."""

    name: Name
    criterion: Literal["EVER_HELPFUL", "HELPFUL_AT_LOCK", "HELPFUL_BY_T"] = "HELPFUL_AT_LOCK"
    note: StrictStr | None = None
    by: StrictInt | None = None
    post: StrictStr | None = None
    post_text: Text | None = None
    note_text: Text | None = None
    author: Name | None = None
    outcomes: Annotated[list[Name], Field(max_length=200)] | None = None
    b: StrictInt | None = None
    weights: Annotated[list[StrictInt], Field(max_length=200)] | None = None
    funding: StrictInt | None = None
    price_ppm: StrictInt = 500_000
    closes: StrictInt | None = None


class Trade(_Body):
    """``buy`` units (or for a budget), ``against``: every other outcome, ``sell``, ``redeem`` complete sets; in a pool
    ``take`` and ``take_selling`` up to ``limit_ppm``, ``order`` at ``price_ppm``."""

    do: Literal["buy", "against", "sell", "redeem", "take", "take_selling", "order"]
    outcome: Name | None = None
    units: StrictInt | None = None
    budget: StrictInt | None = None
    most: StrictInt | None = None
    least: StrictInt | None = None
    limit_ppm: StrictInt | None = None
    price_ppm: StrictInt | None = None

    def operation(self) -> tuple[str, dict[str, Any]]:
        """The ledger's operation and its values; what was not stated is left out."""
        stated = {name: value for name, value in self.model_dump(exclude={"do"}).items() if value is not None}
        if self.do == "against":
            return "buy", {**stated, "against": True}
        if self.do == "take_selling":
            return "take", {**stated, "selling": True}
        return self.do, stated


class Candidate(_Body):
    """A note that joins a post's market: its share of "none" in millionths."""

    name: Name
    share_ppm: StrictInt


class Outcome(_Body):
    """An outcome, by name."""

    outcome: Name


class Why(_Body):
    """A reason in words."""

    why: Reason = ""


class Proposal(_Body):
    """How it came out, and by what: snapshot hash, scorer, time (ms), status, score."""

    outcome: Name
    snapshot: Annotated[StrictStr, Field(max_length=200)]
    scorer: Annotated[StrictStr, Field(max_length=200)]
    at: StrictInt
    status: Annotated[StrictStr, Field(max_length=60)]
    intercept_micro: StrictInt | None = None
    margin_micro: StrictInt | None = None


class Settlement(_Body):
    """The end: an ``outcome`` that was proposed or that an operator gives a reason for; or refund, nobody, average."""

    mode: Literal["outcome", "refund", "nobody", "average"] = "outcome"
    outcome: Name | None = None
    why: Reason = ""


class Ratings(_Body):
    """How many ratings the note has by now."""

    ratings: StrictInt
    helpful: StrictInt = 0

"""Money and shares as integers: a credit is a million micro-credits; a million units of a winning share pay one credit.

One unit of a share pays one micro-credit if its outcome comes true, so what a settled market owes is a plain sum.
These are play credits: there is no way to buy or cash them.
"""

from decimal import Decimal, InvalidOperation

from kolossos.errors import InputError

CREDIT = 1_000_000
PPM = 1_000_000
LARGEST = 10**15  # of one amount or position: sums of a thousand still fit into 64 bits


def whole(value: object, what: str, least: int = 1, most: int = LARGEST) -> int:
    """``value`` if it is an integer in [least, most]; InputError naming ``what`` otherwise (floats and bools too)."""
    if type(value) is not int:
        raise InputError(f"{what} is {_shown(value)}: a whole number is needed (micro-credits, or units of a share)")
    if not least <= value <= most:
        raise InputError(f"{what} is {_shown(value)}: it must lie between {least:,} and {most:,}")
    return value


def from_credits(text: str, what: str = "the amount") -> int:
    """Micro-credits of a decimal text such as ``12.5``, exactly; InputError where six places are not enough."""
    try:
        micro = Decimal(text) * CREDIT
    except InvalidOperation:
        raise InputError(f"{what} is {_shown(text)}: a number of credits is needed, such as 12.5") from None
    if not micro.is_finite() or micro != micro.to_integral_value():
        raise InputError(f"{what} is {_shown(text)}: credits have at most six decimal places")
    return int(micro)


def in_credits(micro: int) -> str:
    """A number of credits as text, exactly: ``12.500000``."""
    sign = "-" if micro < 0 else ""
    return f"{sign}{abs(micro) // CREDIT:,}.{abs(micro) % CREDIT:06d}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

"""Personal numbers and addresses in a text replaced by what they are: ``<email>``, ``<phone>``, ``<card>``, ...

Phones are found by Google's library of the world's numbering plans (``phonenumbers``), card and account numbers by
their check digits (``python-stdnum``), addresses of machines by Python's own parser. Mail addresses follow the pattern
of Dolma's and datatrove's filters. All that is found is counted by kind. A name, a street or what a sentence says of a
person is none of these kinds and stays.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from kolossos.data.option_error import OptionError

EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])")
MACHINE = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:]|\.\d)")
CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)")
SEVEN_DIGITS = re.compile(r"(?:\d\W{0,3}){7}")
# Numbers written without the country's prefix are tried as those of these countries; with "+" any country's are found.
PHONE_REGIONS = ("US", "GB", "DE", "FR", "ES", "IN", "BR", "JP")

Span = tuple[int, int]


def _emails(text: str) -> Iterator[Span]:
    return (found.span() for found in EMAIL.finditer(text)) if "@" in text else iter(())


def _phones(text: str) -> Iterator[Span]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    if not SEVEN_DIGITS.search(text):
        return
    for region in PHONE_REGIONS:
        for found in PhoneNumberMatcher(text, region, leniency=Leniency.VALID, max_tries=len(text)):
            national = not found.raw_string.startswith(("+", "0", "("))
            if text[: found.start].endswith((".", ",")) and text[: found.start - 1][-1:].isdigit():
                continue  # the decimals of a number
            if not (national and found.raw_string.isdigit()):  # figures of any kind have as many digits
                yield found.start, found.end


def _cards(text: str) -> Iterator[Span]:
    from stdnum import luhn

    for found in CARD.finditer(text):
        if luhn.is_valid(re.sub(r"[ -]", "", found[0])):
            yield found.span()


def _ibans(text: str) -> Iterator[Span]:
    from stdnum import iban

    for found in IBAN.finditer(text):
        for stop in range(found.end(), found.start() + 14, -1):  # words behind a number may look like its end
            if not text[stop - 1].isspace() and iban.is_valid(text[found.start() : stop]):
                yield found.start(), stop
                break


def _ips(text: str) -> Iterator[Span]:
    for found in MACHINE.finditer(text):
        try:
            if not ipaddress.ip_address(found[0]).is_loopback and ":" not in (found[0][:1] + found[0][-1:]):
                yield found.span()
        except ValueError:
            continue


KINDS: dict[str, tuple[str, Callable[[str], Iterator[Span]]]] = {
    "emails": ("<email>", _emails),
    "ibans": ("<iban>", _ibans),
    "cards": ("<card>", _cards),
    "ips": ("<ip>", _ips),
    "phones": ("<phone>", _phones),
}
NEEDED = {"phones": "phonenumbers", "cards": "stdnum", "ibans": "stdnum"}


def check_kinds(kinds: Sequence[str]) -> None:
    """OptionError for a kind that nothing finds, or whose library is not installed."""
    from importlib.util import find_spec

    for kind in kinds:
        if kind not in KINDS:
            raise OptionError(f"mask {kind!r} is unknown; known: {', '.join(KINDS)}", "mask")
        if kind in NEEDED and find_spec(NEEDED[kind]) is None:
            raise OptionError(f"masking {kind} needs a library: pip install 'kolossos[mask]'", "mask")


def mask(text: str, kinds: Sequence[str]) -> tuple[str, Counter[str]]:
    """``text`` with what is of these kinds replaced, and how much that was by kind."""
    counts: Counter[str] = Counter()
    for kind in (kind for kind in KINDS if kind in kinds):  # in their own order, whatever order they are asked for in
        placeholder, find = KINDS[kind]
        kept: list[str] = []
        end = 0
        for start, stop in sorted(find(text), key=lambda span: (span[0], -span[1])):
            if start >= end:
                kept += text[end:start], placeholder
                counts[kind] += 1
                end = stop
        if kept:
            text = "".join(kept) + text[end:]
    return text, counts

"""Text as the model should read it, and the few named reasons to drop a document.

Cleaning keeps every character a program or an alphabet may need: no Unicode normalisation, no change of case or of
spaces inside the text.
"""

import re
from collections import Counter
from typing import Literal

DropReason = Literal["too_short", "repeated_lines", "few_letters"]

# Control characters (Unicode category Cc) but newline and tab, and halves of surrogate pairs, which no UTF-8 can hold.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LETTERS = re.compile(r"[^\W\d_]+")

# Rae et al. 2021 (Gopher), table A1, drops above 0.2; programs repeat short lines by nature, so the bar is higher here.
MAX_SHARE_IN_REPEATED_LINES = 0.5
MIN_LINES_TO_JUDGE = 10
# Li et al. 2023 (StarCoder), section 3.2: at least a quarter of the characters are letters.
MIN_SHARE_OF_LETTERS = 0.25


def clean(text: str) -> str:
    """``text`` with newlines as \\n, no byte order mark, no control characters and no white space at its end."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _UNWANTED.sub("", text).rstrip()


def reason_to_drop(text: str, min_chars: int) -> DropReason | None:
    """Why a cleaned ``text`` is not worth learning from, or None to keep it."""
    if len(text) < max(min_chars, 1):
        return "too_short"
    if share_in_repeated_lines(text) > MAX_SHARE_IN_REPEATED_LINES:
        return "repeated_lines"
    if len(_LETTERS.sub("", text)) > (1 - MIN_SHARE_OF_LETTERS) * len(text):
        return "few_letters"
    return None


def share_in_repeated_lines(text: str) -> float:
    """The share of characters in lines that an earlier line already said; 0 for texts of few lines."""
    lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
    if len(lines) < MIN_LINES_TO_JUDGE:
        return 0.0
    repeated = sum(len(line) * (times - 1) for line, times in Counter(lines).items())
    return repeated / sum(map(len, lines))

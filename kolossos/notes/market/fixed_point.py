"""Exponential and logarithm in integers, never below the true value and hardly above it.

A charge that depends on the last bit of a float is another charge on another machine, and a bound that a float has
rounded is no bound. Here everything is an integer: a real x is held as ceil(x * 2**BITS). Argument reduction by tables
(Tang, ACM TOMS 15 (1989) 144 and 16 (1990) 378), then a series cut where its remainder has a known sign.

What is promised, with arguments x = numerator / denominator of abs(x) <= 2**20 and value v >= 1:

    exp(x) <= mantissa * 2**(exponent - BITS) <= exp(x) * (1 + 2**-70)
    ln(v)  <= log_up(v) * 2**-BITS            <= ln(v) + 2**-85
"""

from functools import cache
from typing import NamedTuple

BITS = 96
ONE = 1 << BITS
LARGEST_ARGUMENT = 1 << 20
_GUARD = 64  # more bits while tables are made


class _Tables(NamedTuple):
    exp: tuple[tuple[int, ...], ...]  # of i/2**8, i/2**16, i/2**24, rounded up
    scale: tuple[tuple[int, ...], ...]  # c with c * value just above one, at 16, 24 and 32 bits
    log: tuple[tuple[int, ...], ...]  # -ln(c), rounded up


def _slow_exp(numerator: int, denominator: int) -> int:
    """ceil(exp(numerator / denominator) * 2**BITS) for 0 <= x <= 1, by its series, with guard bits."""
    bits = BITS + _GUARD
    term, total, n = 1 << bits, 0, 0
    while term:
        total += term
        n += 1
        term = term * numerator // (denominator * n)
    return (total >> _GUARD) + 1 if numerator else ONE


def _slow_log(numerator: int, denominator: int, bits: int = BITS) -> int:
    """ceil(ln(numerator / denominator) * 2**bits) for a ratio in [1, 2], by 2 artanh((r - 1) / (r + 1))."""
    if numerator == denominator:
        return 0
    wide = bits + _GUARD
    a, b = numerator - denominator, numerator + denominator
    power, total, n = (a << wide) // b, 0, 1
    while power:
        total += power // n
        power = power * a * a // (b * b)
        n += 2
    return (2 * total >> _GUARD) + 1


LN2_UP = _slow_log(2, 1)
LN2_DOWN = LN2_UP - 1


@cache
def _tables() -> _Tables:
    exps = tuple(tuple(_slow_exp(i, 1 << (8 * level)) for i in range(256)) for level in (1, 2, 3))
    scales, logs = [], []
    for level in (1, 2, 3):
        one, ahead = 1 << (8 * level), 8 * level + 8
        factors = tuple(-((-one << ahead) // (one + i)) for i in range(259))
        scales.append(factors)
        logs.append(tuple(_slow_log(1 << ahead, c) if c < 1 << ahead else 0 for c in factors))
    return _Tables(exps, tuple(scales), tuple(logs))


def exp_up(numerator: int, denominator: int) -> tuple[int, int]:
    """(mantissa, exponent) with exp(numerator / denominator) <= mantissa * 2**(exponent - BITS); exact at 0."""
    if numerator == 0:
        return ONE, 0
    x = -((-numerator << BITS) // denominator)
    exponent, rest = divmod(x, LN2_DOWN)
    rest += 1 + abs(exponent)  # exponent * (ln 2 - LN2_DOWN) is at most one unit for each
    if rest >= LN2_DOWN:
        exponent, rest = exponent + 1, max(rest - LN2_DOWN, 0)
    first, second, third = _tables().exp
    low = rest & ((1 << (BITS - 24)) - 1)
    # 1 + r + r^2/2 + r^3/6, remainder below r^4/23 < 2^-100 (r < 2^-24), which the last unit covers
    square = low * low >> BITS
    value = ONE + low + (square >> 1) + (square * low >> BITS) // 6 + 4
    value = (value * third[rest >> (BITS - 24) & 255] >> BITS) + 1
    value = (value * second[rest >> (BITS - 16) & 255] >> BITS) + 1
    return (value * first[rest >> (BITS - 8) & 255] >> BITS) + 1, exponent


def log_up(value: int, exponent: int = 0) -> int:
    """At least ln(value * 2**(exponent - BITS)) * 2**BITS, for value > 0; exactly 0 at one."""
    if value == ONE and exponent == 0:
        return 0
    shift = value.bit_length() - 1 - BITS
    value = -(-value >> shift) if shift > 0 else value << -shift
    exponent += shift
    tables = _tables()
    total = 0
    for level in (0, 1, 2):
        index = (value - ONE) >> (BITS - 8 * level - 8)
        value = -(-value * tables.scale[level][index] >> (8 * level + 16))
        total += tables.log[level][index]
    d = value - ONE
    square = d * d >> BITS
    total += d - (square >> 1) + (square * d >> BITS) // 3 + 3  # ln(1 + d) <= d - d^2/2 + d^3/3
    return total + exponent * (LN2_UP if exponent > 0 else LN2_DOWN)

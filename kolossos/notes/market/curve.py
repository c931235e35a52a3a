"""The constant-product curve between two kinds of shares, x * y >= k, in whole numbers.

Here x is the reserve of the side that is bought and y that of the other: the buyer's c micro-credits become c complete
sets, the pool keeps the c shares of the other side and gives s of the wanted one, such that

    (x + c - s)(y + c) >= x y,     price of the bought side = y / (x + y)

Square roots are integer square roots, every rounding leaves the product where it was or higher.
"""

from math import isqrt

from kolossos.notes.market.amounts import PPM


def cost_of(x: int, y: int, units: int) -> int:
    """The least c that buys ``units`` of the side with reserve ``x``."""
    b = x + y - units
    c = (isqrt(b * b + 4 * units * y) - b) // 2
    while (x + c - units) * (y + c) < x * y or x + c - units <= 0:
        c += 1
    return c


def units_for(x: int, y: int, cost: int) -> int:
    """The most units of the side with reserve ``x`` that ``cost`` micro-credits buy."""
    return x + cost + -x * y // (y + cost)


def cost_to_price(x: int, y: int, price_ppm: int) -> int:
    """The most that can be spent on the side with reserve ``x`` while its price stays at or below ``price_ppm``."""

    def stays(c: int) -> bool:  # true up to some c and false from there on: y + c rises, what is left of x falls
        return (y + c) * (PPM - price_ppm) <= price_ppm * (x + c - units_for(x, y, c))

    if not stays(0):
        return 0
    guess = max(isqrt(x * y * price_ppm // (PPM - price_ppm)) - y, 0)
    step = 1
    if stays(guess):
        low, high = guess, guess + 1
        while stays(high):
            low, step = high, 2 * step
            high += step
    else:
        low, high = max(guess - 1, 0), guess
        while not stays(low):
            high, step = low, 2 * step
            low = max(low - step, 0)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if stays(middle) else (low, middle)
    return low

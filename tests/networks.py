"""Networks for those who ask: limits by address count whole networks, so everybody gets one that nobody else has."""

import itertools

_numbers = itertools.count(1)


def new_network() -> str:
    """An address in a /24 that this process has not given to anybody yet."""
    number = next(_numbers)
    return f"10.{number // 256 % 256}.{number % 256}.7"

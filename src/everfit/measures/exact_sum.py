"""Sums of floating-point numbers that do not depend on the order of addition.

Floating-point addition is not associative, so that two workers which add the same sums in another order would disagree
in the last digit, and equal windows would not be equal. A float is a whole number of 2 ** -1074, though, and whole
numbers add exactly.
"""

from __future__ import annotations

import numpy as np

from everfit.measures.weighting import Floats

_UNIT_EXPONENT = 1074
_DIGITS = 53


def units(values: Floats) -> list[int]:
    """Convert finite float64, shape ``(numbers,)``, to units of 2 ** -1074, exactly.

    >>> units(np.array([5e-324, 0.0, -1.5])) == [1, 0, -3 * 2**1073]
    True
    """
    fractions, exponents = np.frexp(values)
    digits = np.ldexp(fractions, _DIGITS).astype(np.int64).tolist()
    shifts = (exponents + (_UNIT_EXPONENT - _DIGITS)).tolist()
    # Subnormal numbers have fewer digits: what is shifted out is zero.
    return [digit << shift if shift >= 0 else digit >> -shift for digit, shift in zip(digits, shifts, strict=True)]


def as_float(total: int) -> float:
    """Return the float64 nearest to that many units.

    >>> as_float(sum(units(np.array([1e16, 1.0, -1e16]))))
    1.0
    """
    return total / (1 << _UNIT_EXPONENT)


def pack(total: int) -> tuple[int, bytes]:
    r"""Encode a total as its trailing zero bits and the rest, signed and little-endian: ten bytes instead of 200.

    >>> pack(-3 * 2**1073)
    (1073, b'\xfd')
    """
    zeros = (total & -total).bit_length() - 1 if total else 0
    odd = total >> zeros
    return zeros, odd.to_bytes(odd.bit_length() // 8 + 1, "little", signed=True)


def unpack(packed: tuple[int, bytes]) -> int:
    """Decode the result of :func:`pack`."""
    zeros, odd = packed
    return int.from_bytes(odd, "little", signed=True) << zeros

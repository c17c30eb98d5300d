"""A double as text, every bit of it, by arithmetic that is exact in any database.

Neither database prints the same digits of a double as the other, and Snowflake not all of them. So
the number is taken apart: its whole part, and its fraction times a power of two. Both are whole
numbers that a double holds, and multiplying by a power of two loses nothing. A number that is very
large or small is first brought near 1 by a power of 2^53, which becomes a part of the text; which
power that is, changes half-way between two powers of two, where no number is that anyone writes, so
that rounding in LN decides nothing. -0.0 is 0.
"""

from __future__ import annotations

_BITS = 53  # of a double's mantissa


def float_text(value: str, *, keeps_special: bool) -> str:
    """SQL for a double as text, for PostgreSQL and Snowflake alike.

    Args:
        value: SQL of the type double precision, or FLOAT.
        keeps_special: Whether NaN and the infinities become text, or else NULL.
    """
    size = f"ABS({value})"
    sign = f"CASE WHEN {value} < 0 THEN '-' ELSE '' END"
    nan, infinity = ("'nan'", f"{sign} || 'inf'") if keeps_special else ("NULL", "NULL")
    power = f"FLOOR((LN({size}) / LN(2) + 0.5) / {_BITS})"
    # In two steps, since 2^1113 is no double.
    near_one = f"({size} * POWER(2, -26 * {power}) * POWER(2, -27 * {power}))"
    return (
        f"CASE WHEN {value} = 0 THEN '0' "
        f"WHEN {size} >= 1 AND {size} < {2**_BITS} THEN {sign} || {_digits(size)} "
        f"WHEN {value} = CAST('NaN' AS FLOAT) THEN {nan} "
        f"WHEN {size} = CAST('inf' AS FLOAT) THEN {infinity} "
        f"ELSE {sign} || {_whole(power)} || 'x' || {_digits(near_one)} END"
    )


def _digits(value: str) -> str:
    return f"{_whole(f'FLOOR({value})')} || '.' || " + _whole(
        f"FLOOR(({value} - FLOOR({value})) * {2**_BITS})"
    )


def _whole(value: str) -> str:
    return f"CAST(CAST({value} AS BIGINT) AS VARCHAR)"

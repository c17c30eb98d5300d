"""Any value is equal to itself in the other database, and its neighbour is not."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowflake_loader.names import literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Pair

CREATE = (
    "CREATE TABLE t (id bigint PRIMARY KEY, number double precision, amount numeric(20,5),"
    " name text, moment timestamp, instant timestamptz, day date, ok boolean, data bytea)"
)
STORED = (
    "CREATE OR REPLACE TABLE {}.T (ID NUMBER(38,0), NUMBER FLOAT, AMOUNT NUMBER(20,5),"
    " NAME VARCHAR, MOMENT TIMESTAMP_NTZ, INSTANT TIMESTAMP_TZ, DAY DATE, OK BOOLEAN, DATA BINARY)"
)
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))  # noqa: DTZ001 - no zone
VALUES = st.tuples(
    st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([2.0**53, 2.0**106, 5e-324]),
    st.decimals(-(10**14), 10**14, places=5),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
    MOMENTS,
    MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC)),
    st.dates(dt.date(1, 1, 2), dt.date(9999, 12, 30)),
    st.booleans(),
    st.binary(max_size=3),
)
ROWS = st.lists(st.tuples(VALUES, st.sampled_from([None, *range(8)])), min_size=1, max_size=8)


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=ROWS)
def test_the_neighbour_of_any_value_is_found_and_nothing_else(
    pair: Pair, rows: list[tuple[tuple[Any, ...], int | None]]
) -> None:
    pair.execute("DROP TABLE IF EXISTS t", CREATE)
    with pair.source.connect() as connection:
        connection.cursor().executemany(
            "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [(number, *values) for number, (values, _) in enumerate(rows)],
        )
    pair.change("CREATE SCHEMA IF NOT EXISTS {}")
    pair.change(STORED)
    stored = [changed(values, place) for values, place in rows]
    texts = [
        ", ".join([str(number), *(LITERALS[type(value)](value) for value in values)])
        for number, values in enumerate(stored)
    ]
    insert = f"INSERT INTO {pair.warehouse.schema}.T SELECT {' UNION ALL SELECT '.join(texts)}"
    pair.warehouse.query(insert)
    differing = [[str(number)] for number, (_, place) in enumerate(rows) if place is not None]

    (found,), _ = pair.reconcile(code=1 if differing else 0)

    assert found["keys"] == {"missing": [], "extra": [], "changed": differing}


def changed(values: tuple[Any, ...], place: int | None) -> list[Any]:
    """The values, one of them changed by as little as can be."""
    return [STEPS[type(value)](value) if at == place else value for at, value in enumerate(values)]


STEPS: dict[type, Callable[[Any], Any]] = {
    bool: lambda value: not value,
    float: lambda value: math.nextafter(value, 0.0 if value else 1.0),
    Decimal: lambda value: value + Decimal("0.00001"),
    str: lambda value: f"{value} " if value else None,
    dt.datetime: lambda value: value + dt.timedelta(microseconds=1),
    dt.date: lambda value: value + dt.timedelta(days=1),
    bytes: lambda value: value + b"\0",
}
LITERALS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    bool: lambda value: str(value).upper(),
    float: lambda value: f"CAST('{value!r}' AS FLOAT)",
    Decimal: str,
    str: literal,
    dt.datetime: lambda value: (
        f"CAST('{value.isoformat(sep=' ')}' AS TIMESTAMP_{'TZ' if value.tzinfo else 'NTZ'})"
    ),
    dt.date: lambda value: f"CAST('{value.isoformat()}' AS DATE)",
    bytes: lambda value: f"X'{value.hex()}'",
}

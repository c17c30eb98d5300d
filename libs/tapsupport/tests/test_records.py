"""Record lines: every value reads back as what it was."""

from __future__ import annotations

import base64
import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapsupport.records import record_lines

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def decode(batch: pa.RecordBatch, **options: Any) -> list[dict[str, Any]]:
    lines = bytes(record_lines(batch, options.pop("stream", "s"), **options))
    return [json.loads(line, parse_float=Decimal) for line in lines.split(b"\n")[:-1]]


def values(kind: pa.DataType, given_values: list[Any], **options: Any) -> list[Any]:
    batch = pa.RecordBatch.from_arrays([pa.array(given_values, kind)], ["v"])
    return [message["record"]["v"] for message in decode(batch, **options)]


@given(st.lists(st.none() | TEXT))
def test_text(texts: list[str | None]) -> None:
    """Quotes, backslashes, line ends, control characters and any script."""
    assert values(pa.string(), texts) == texts


@given(st.lists(st.none() | st.decimals(-(10**28), 10**28, places=9)))
def test_decimals_keep_every_digit(numbers: list[Decimal | None]) -> None:
    sent = values(pa.decimal128(38, 9), numbers)

    assert [None if v is None else Decimal(v) for v in sent] == numbers


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_floats_read_back_exactly(numbers: list[float | None]) -> None:
    sent = values(pa.float64(), numbers)

    assert [None if v is None else float(v) for v in sent] == numbers


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_float_that_json_cannot_say(number: float) -> None:
    """Never a line that no JSON parser takes."""
    with pytest.raises(ValueError, match="Column v holds NaN or an infinity"):
        values(pa.float64(), [1.0, None, number])


@given(st.lists(st.none() | st.datetimes()))
def test_timestamps(moments: list[dt.datetime | None]) -> None:
    """ISO 8601, with +00:00 exactly when the column has a zone."""
    plain = values(pa.timestamp("us"), moments)
    zoned = values(pa.timestamp("us", tz="UTC"), moments)

    assert [v and dt.datetime.fromisoformat(v) for v in plain] == moments
    assert zoned == [v and f"{v}+00:00" for v in plain]


@given(st.lists(st.none() | st.binary()))
def test_binary_is_base64(contents: list[bytes | None]) -> None:
    sent = values(pa.binary(), contents)

    assert [None if v is None else base64.b64decode(v) for v in sent] == contents


@given(st.lists(st.none() | JSON))
def test_json_text_is_embedded(documents: list[Any]) -> None:
    """Pretty-printed text too: a message is one line."""
    texts = [None if document is None else json.dumps(document, indent=1) for document in documents]

    assert values(pa.string(), texts, json_columns={"v"}) == documents


def test_the_other_types() -> None:
    assert values(pa.bool_(), [True, None, False]) == [True, None, False]
    assert values(pa.int64(), [-(2**63), None]) == [-(2**63), None]
    assert values(pa.float32(), [0.1]) == [Decimal("0.10000000149011612")]
    assert values(pa.date32(), [dt.date(1, 1, 1)]) == ["0001-01-01"]
    assert values(pa.time64("us"), [dt.time(1, 2, 3, 4)]) == ["01:02:03.000004"]


def test_the_message_around_the_record() -> None:
    """A slice of a batch sends its own rows only, and awkward names are quoted."""
    whole = pa.RecordBatch.from_pydict({'a "b"': [1, 2, 3], "c": ["x", None, "z"]})

    messages = decode(whole.slice(1, 2), stream='s"1', version=7, time_extracted="2030-01-01Z")

    assert messages == [
        {
            "type": "RECORD",
            "stream": 's"1',
            "record": {'a "b"': number, "c": text},
            "version": 7,
            "time_extracted": "2030-01-01Z",
        }
        for number, text in ((2, None), (3, "z"))
    ]


def test_no_rows_no_lines() -> None:
    assert decode(pa.RecordBatch.from_pydict({"a": pa.array([], pa.string())})) == []

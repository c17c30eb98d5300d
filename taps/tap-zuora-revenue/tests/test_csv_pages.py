"""Reading one page: any text comes back, and none of a page that was cut."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zuora_revenue.csv_pages import BrokenPageError, read_page

HEADER = ("RC_ID", "RC_HOLD_COMMENT", "INCR_UPDT_DT")
text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
# A first field that is never empty: a line of nothing at all is no row.
rows = st.lists(st.tuples(text.filter(bool), text, text), max_size=12)


def page(lines: list[tuple[str, ...]], quoting: int, end: str) -> bytes:
    output = io.StringIO(newline="")
    csv.writer(output, quoting=quoting, lineterminator=end).writerows(lines)  # type: ignore[arg-type]
    return output.getvalue().encode()


@settings(deadline=None, max_examples=60)
@given(
    values=rows,
    # Python's writer leaves a lone carriage return bare when lines end otherwise.
    form=st.sampled_from(
        [(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_MINIMAL, "\r\n")]
    ),
    packed=st.booleans(),
    has_header=st.booleans(),
)
def test_any_text_comes_back(
    *, values: list[tuple[str, ...]], form: tuple[int, str], packed: bool, has_header: bool
) -> None:
    """Quotes, commas, newlines of all kinds; an empty field is null."""
    lines = [HEADER, *values] if has_header else values
    if not lines:
        return
    body = page(lines, *form)

    found = read_page(2, gzip.compress(body) if packed else body, HEADER)

    expected = [tuple(value or None for value in row) for row in values]
    assert [tuple(row.values()) for row in found.rows.to_pylist()] == expected


@settings(deadline=None, max_examples=60)
@given(rows, st.integers(0, 2000))
def test_a_page_cut_within_a_field_is_refused(values: list[tuple[str, ...]], at: int) -> None:
    """Wherever there is an open quote, or a row too short; never a row with half a value."""
    body = page([HEADER, *values], csv.QUOTE_ALL, "\n")
    cut = body[: at % len(body)]
    try:
        found = read_page(1, cut, None)
    except BrokenPageError:
        return

    whole = read_page(1, body, None).rows.to_pylist()
    assert found.header == HEADER[: len(found.header)]
    if found.header == HEADER and found.rows.num_rows:
        *before, last = found.rows.to_pylist()
        assert before == whole[: len(before)]
        assert str(whole[len(before)]["INCR_UPDT_DT"] or "").startswith(last["INCR_UPDT_DT"] or "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty or HTML"),
        (b"  <html>", "empty or HTML"),
        (b'"A","B"\n"1', "in the middle of a quoted field"),
        (b'"A","B"\n"1"\n', "a row of another length"),
        (b'"A","A"\n', "names the column A twice"),
        (b'"A",""\n', "does not begin with a line of column names"),
        (b'"1","2"\n', "does not begin with a line of column names"),
        (b'"A"\n"\xff"\n', "no UTF-8 CSV"),
        (gzip.compress(b'"A"\n', mtime=0)[:-3], "a gzip file that was cut"),
    ],
)
def test_what_is_no_page(body: bytes, said: str) -> None:
    with pytest.raises(BrokenPageError, match=said):
        read_page(1, body, None)

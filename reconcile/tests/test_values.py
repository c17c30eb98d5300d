"""Every kind of value is the same in both hashes, and its smallest change is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Pair

CREATE = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE things (
  id bigint PRIMARY KEY, small smallint, flag boolean, real_number real, double_number float8,
  price numeric(12,2), free numeric, tiny numeric(3,5), huge numeric(50,2), name text,
  code varchar(20), fixed char(6), feeling mood, day date, moment timestamp, instant timestamptz,
  clock time, token uuid, data bytea, document jsonb, text_document json, numbers int[],
  words text[], span int4range, address inet, length interval
)
"""
FILL = r"""
INSERT INTO things VALUES
(1, 7, true, 0.1, 100.1, 1.50, 1.123456789, 0.00123, 12345678901234567890123456789012345678901.25,
 'plain', 'a|b', 'ab', 'glad', '2024-02-29', '2024-01-01 10:20:30.123456',
 '2024-01-01 10:20:30.5+02', '10:20:30', gen_random_uuid(), '\x00ff', '{"b": [1, 2], "a": "x y"}',
 ' {"z":1,  "a": "b"} ', '{1,2,NULL}', '{"a b",c}', '[1,5)', '10.0.0.1/8', '1 day 02:00'),
(2, -7, false, -1e30, -1e300, -0.01, 0, 0, 0, '', '', '', 'sad', '0001-01-01',
 '0001-01-01 00:00:00', '0001-01-01 00:00:00+00', '00:00:00', gen_random_uuid(), '', '{}', '[]',
 '{}', '{}', 'empty', '::1', '0'),
(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(4, 0, true, 16777216, 5e-324, 9999999999.99, -1.5, -0.00999, -1, E'é\U0001F600\n\t\x01:|''"\\',
 'Straße', 'x  y', 'sad', '9999-12-31', '9999-12-31 23:59:59.999999',
 '9999-12-31 23:59:59.999999+00', '23:59:59.999999', gen_random_uuid(), '\x010203', 'null',
 'null', '{{1,2},{3,4}}', '{}', NULL, '10.0.0.1', '-1 year'),
(5, 1, true, 1e-40, 2.2250738585072014e-308, 1, 1, 0, 1, 'e' || U&'\0301', '1', 'é', 'sad',
 '2024-12-10', '2024-01-01 00:00:10', '2024-01-01 00:00:00.000001+00', '00:00:10',
 gen_random_uuid(), '\x00', '"a"', '1', '{1}', '{NULL}', '(,)', '1.2.3.4', '1 mon'),
(6, 1, true, 1, 1.7976931348623157e308, 1, 1, 0, 1, ' a ', '1', 'z', 'sad', '1969-12-31',
 '1969-12-31 23:59:59.9', '1969-12-31 23:59:59.9+00', '00:01:00', gen_random_uuid(), '\x00',
 '[1, "1", true, null]', 'true', '{0}', '{"{}"}', '(,)', '1.2.3.4', '1 mon')
"""
CHANGES = {
    "small": "8",
    "flag": "FALSE",
    "real_number": "0.10000000149011613",
    "double_number": "100.10000000000001",
    "price": "1.51",
    "free": "1.123456788",
    "tiny": "0.00124",
    "huge": "'12345678901234567890123456789012345678901.26'",
    "name": "'plain '",
    "code": "'a|B'",
    "fixed": "'ab'",
    "feeling": "'sad'",
    "day": "CAST('2024-03-01' AS DATE)",
    "moment": "CAST('2024-01-01 10:20:30.123457' AS TIMESTAMP_NTZ)",
    "instant": "CAST('2024-01-01T08:20:30.500001+00:00' AS TIMESTAMP_TZ)",
    "clock": "CAST('10:20:30.000001' AS TIME)",
    "token": "'00000000-0000-0000-0000-000000000000'",
    "data": "NULL",
    "document": """PARSE_JSON('{"a": "x y", "b": [1, 3]}')""",
    "text_document": """PARSE_JSON('{"z":1, "a": "c"}')""",
    "numbers": "PARSE_JSON('[1,2]')",
    "words": """PARSE_JSON('["a b"]')""",
    "span": """PARSE_JSON('"[1,6)"')""",
    "address": "'10.0.0.1'",
    "length": "'1 day 03:00:00'",
}


def test_every_type_is_equal_after_a_load_and_its_smallest_change_is_found(pair: Pair) -> None:
    """One row for each column; in the copy that column alone is changed."""
    copies = [
        f"INSERT INTO things SELECT (jsonb_populate_record(t, '{{\"id\": {number}}}')).*"
        " FROM things t WHERE id = 1"
        for number in range(100, 100 + len(CHANGES))
    ]
    pair.execute(*CREATE.split(";"), FILL, *copies)
    pair.load()

    (same,), _ = pair.reconcile(code=0)
    for number, (column, value) in enumerate(CHANGES.items(), 100):
        update = f"UPDATE {pair.warehouse.schema}.THINGS SET {column} = {value} WHERE ID = {number}"
        pair.warehouse.query(update)
    pair.change("UPDATE {}.THINGS SET NAME = NULL WHERE ID = 2")  # it was empty
    pair.change("UPDATE {}.THINGS SET NAME = '' WHERE ID = 3")  # it was NULL
    pair.change("UPDATE {}.THINGS SET NAME = '\u00e9' WHERE ID = 5")  # the other normal form
    (found,), _ = pair.reconcile("--keys", "100", code=1)

    rows = 6 + len(CHANGES)
    assert (same["source_rows"], same["snowflake_rows"]) == (rows, rows)
    expected = [[str(number)] for number in (2, 3, 5, *range(100, 100 + len(CHANGES)))]
    assert found["keys"] == {"missing": [], "extra": [], "changed": expected}

"""Manifests' queries, as they stand or without their conditions on time, on a real server."""

from __future__ import annotations

import ast
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tap_postgres
from tap_postgres.placeholders import interval_values
from tap_postgres.query import BaseTable, ManifestQuery, check_condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from sandbox.postgres import Connection

VALUES = interval_values(
    dt.datetime(2024, 1, 3, tzinfo=dt.UTC), dt.datetime(2024, 1, 5, tzinfo=dt.UTC)
)
INTERVAL = (
    "at BETWEEN '{EXECUTION_DATE}'::timestamp - interval '{HOURS} hours'"
    " AND '{EXECUTION_DATE}'::timestamp"
)
ENDS = "at >= '{BEGIN_TIMESTAMP}'::timestamp AND at < '{END_TIMESTAMP}'::timestamp"
TABLES = """
CREATE TABLE boats (id int PRIMARY KEY, name text, "Mixed Case" text, at timestamp, data jsonb,
  tags text[], crew int);
INSERT INTO boats SELECT i, CASE i % 3 WHEN 0 THEN 'a 100% WHERE' WHEN 1 THEN 'scan' END,
  CASE WHEN i % 2 = 0 THEN '{x}' END, timestamp '2024-01-01' + i * interval '6 hours',
  jsonb_build_object('k', i), array['a', i::text], i % 4 FROM generate_series(1, 40) i;
UPDATE boats SET at = NULL WHERE id IN (5, 6)
"""
# What a full sync leaves out stands between « and ».
QUERIES = {
    "plain": f"SELECT id FROM boats «WHERE {INTERVAL}»",
    "and before": f"SELECT id FROM boats WHERE crew > 1 «AND {ENDS}»",
    "and behind": f"SELECT id FROM boats WHERE «{INTERVAL} AND» crew > 1",
    "literals": "SELECT id, 'WHERE at > ''x'' -- no' AS w FROM boats"
    f" WHERE name = 'a 100%% WHERE' «AND {INTERVAL}»",
    "comments": "SELECT id -- WHERE; 'quote {brace}\n/* WHERE ' ; {TODAY} */ , name FROM boats"
    f" -- here\nWHERE «{ENDS} AND» true -- the end",
    "case": "SELECT id, CASE WHEN name ILIKE '%%SCAN%%' THEN 'scan' ELSE NULL END AS kind,"
    f" NULL AS ref FROM boats «WHERE {INTERVAL}»",
    "or": f"SELECT id FROM boats WHERE (crew = 1 OR crew = 2) «AND ({ENDS} OR at IS NULL)»",
    "parentheses": f"SELECT id FROM boats WHERE (crew > 1 «AND ({ENDS})») AND id > 3",
    "not": f"SELECT id FROM boats WHERE crew > 1 «AND NOT ({ENDS})»",
    "sub-select": f"SELECT id FROM (SELECT * FROM boats «WHERE {ENDS}») AS b WHERE crew > 0",
    "in": f"SELECT id FROM boats WHERE id IN (SELECT id FROM boats «WHERE {ENDS}»)",
    "cte": f"WITH b AS (SELECT id, name FROM boats «WHERE {ENDS}») SELECT id, name FROM b",
    "union": f"SELECT id FROM boats WHERE crew = 0 «AND {ENDS}»"
    f" UNION ALL SELECT id FROM boats WHERE crew = 3 «AND {INTERVAL}»",
    "json": "SELECT id, data->>'k' AS k, data @> '{\"k\": 2}' AS two FROM boats"
    f" WHERE data ? 'k' AND name ~ '^s' «AND {ENDS}»",
    "arrays": "SELECT id, tags[1] AS t, '{1,2}'::int[] AS a FROM boats"
    f" WHERE 'a' = ANY(tags) «AND {ENDS}»",
    "window": "SELECT id, row_number() OVER (PARTITION BY crew ORDER BY id) AS n FROM boats"
    f" «WHERE {ENDS}»",
    "filter": "SELECT crew AS id, count(*) FILTER (WHERE id > 3) AS n FROM boats"
    f" «WHERE {ENDS}» GROUP BY crew HAVING count(*) > 1",
    "lateral": "SELECT b.id, l.x FROM boats b CROSS JOIN LATERAL (SELECT b.crew + 1 AS x) l"
    f" «WHERE {ENDS}»",
    "join": "SELECT b.id, c.name FROM boats b LEFT JOIN boats c ON c.id = b.crew AND c.id > 1"
    f" «WHERE b.{ENDS.replace('AND at', 'AND b.at')}»",
    "names": f'SELECT b.id, b."Mixed Case" AS "Aliased" FROM public.boats AS b «WHERE {ENDS}»',
    "dollars": f"SELECT id, $$it's WHERE$$ AS d, E'a\\nb' AS e FROM boats «WHERE {ENDS}»",
    "days": "SELECT id FROM boats «WHERE at > '{EXECUTION_DATE}'::timestamp::date - {DAYS}»",
    "order": f"SELECT id FROM boats «WHERE {ENDS}» ORDER BY id DESC",
    "semicolon": f"SELECT id FROM boats WHERE «{ENDS} AND» crew > 1; -- done",
    "or_of_ands": f"SELECT id FROM boats WHERE («{ENDS} AND» crew = 1) OR («{ENDS} AND» crew = 2)",
    "intervals": "SELECT id, at + interval '1 day 02:00' AS a, at - interval '1 day ago' AS b,"
    f" @ (-5) AS c FROM boats WHERE crew > 0 «AND {ENDS}»",
    "in_subquery": "SELECT id FROM boats WHERE id IN"
    f" (SELECT id FROM boats «WHERE {ENDS}») AND id > 1",
    "any": f"SELECT id FROM boats WHERE id = ANY (SELECT id FROM boats «WHERE {ENDS}»)",
    "casts": "SELECT id, CAST(at AS date) AS d, at::date::text AS t, at AT TIME ZONE 'UTC' AS z,"
    f" extract(epoch FROM at)::int8 AS e, crew / 2.0 AS h FROM boats «WHERE {ENDS}»",
}


@pytest.fixture
def database(postgres_database: Connection) -> Iterator[psycopg.Connection[Any]]:
    with postgres_database.connect() as connection:
        connection.execute(TABLES)
        yield connection


def rows(database: psycopg.Connection[Any], query: str) -> list[Any]:
    return sorted(database.execute(f"SELECT * FROM (\n{query}\n) AS q".encode()), key=repr)


def without_marks(query: str) -> str:
    return query.replace("«", "").replace("»", "")


def cut_by_hand(query: str) -> str:
    head, *marked = query.split("«")
    return head + "".join(part.partition("»")[2] for part in marked)


def plain(query: str) -> str:
    """What a person would send to the server."""
    for name, value in VALUES.items():
        query = query.replace(f"{{{name}}}", value)
    return query.replace("%%", "%").replace("; -- done", "").strip()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_with_and_without_the_interval(database: psycopg.Connection[Any], query: str) -> None:
    """The rows are those of the query written out by hand."""
    found = ManifestQuery(without_marks(query))

    assert found.has_interval
    within = rows(database, plain(without_marks(query)))
    whole = rows(database, plain(cut_by_hand(query)))
    assert rows(database, found.filled(VALUES)) == within
    assert rows(database, found.whole(VALUES)) == whole
    assert within != whole


def test_a_rewritten_query_must_say_the_same() -> None:
    """Conditions in an OR are written anew by sqlglot, which loses parts of some intervals."""
    query = (
        "SELECT id, at + interval '1 day 02:00' AS a FROM boats"
        " WHERE (at > '{BEGIN_TIMESTAMP}' AND id > 3) OR id = 1"
    )
    with pytest.raises(ValueError, match="cannot be sent without its conditions on time"):
        ManifestQuery(query)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_a_query_is_sent_as_it_is(query: str) -> None:
    """Word for word, when it need not be changed."""
    assert ManifestQuery(without_marks(query)).filled(VALUES) == plain(without_marks(query))
    if "«" in query:
        scd = ManifestQuery(cut_by_hand(query))
        assert not scd.has_interval
        assert scd.whole(VALUES) == plain(cut_by_hand(query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT id FROM boats", "SELECT id FROM boats WHERE crew IN (1, 2)"),
        ("SELECT id FROM boats -- all", "SELECT id FROM boats WHERE crew IN (1, 2)"),
        ("SELECT id FROM boats ORDER BY 1", "SELECT id FROM boats WHERE crew IN (1, 2)"),
        (
            "SELECT id FROM boats WHERE id < 9 OR id > 30",
            "SELECT id FROM boats WHERE (id < 9 OR id > 30) AND crew IN (1, 2)",
        ),
        (
            "SELECT id FROM boats WHERE id < 9 UNION ALL SELECT id FROM boats",
            (
                "SELECT id FROM boats WHERE id < 9 AND crew IN (1, 2)"
                " UNION ALL SELECT id FROM boats WHERE crew IN (1, 2)"
            ),
        ),
        (
            "SELECT crew AS id FROM boats GROUP BY crew",
            "SELECT crew AS id FROM boats WHERE crew IN (1, 2) GROUP BY crew",
        ),
    ],
)
def test_the_additional_filtering_holds_for_every_row(
    database: psycopg.Connection[Any], query: str, expected: str
) -> None:
    """Written behind the query as text, some of these would let outside rows pass."""
    found = ManifestQuery(query, "AND crew IN {INTERNAL_PROJECT_IDS}")
    values = VALUES | {"INTERNAL_PROJECT_IDS": "(1, 2)"}

    assert found.has_internal_keys
    assert rows(database, found.filled(values)) == rows(database, expected)
    assert rows(database, found.whole(values)) == rows(database, expected)


@pytest.mark.parametrize(
    ("query", "condition", "expected"),
    [
        ("SELECT id FROM boats", "WHERE crew = 1", "SELECT id FROM boats\nWHERE crew = 1"),
        (
            "SELECT id FROM boats WHERE id > 9",
            "WHERE crew = 1",
            "SELECT id FROM boats WHERE id > 9\nAND  crew = 1",
        ),
        (
            "SELECT id FROM boats WHERE id > 9",
            "/* odd */ where crew = 1 OR crew = 2 -- WHERE",
            "SELECT id FROM boats WHERE id > 9\nAND ( crew = 1 OR crew = 2 -- WHERE\n)",
        ),
        (
            "SELECT id FROM boats WHERE id > 30 UNION ALL SELECT id FROM boats",
            "WHERE crew = 1",
            (
                "SELECT id FROM boats WHERE id > 30 AND crew = 1"
                " UNION ALL SELECT id FROM boats WHERE crew = 1"
            ),
        ),
        (
            "SELECT name AS id FROM boats GROUP BY name",
            "WHERE crew = 1",
            "SELECT name AS id FROM boats WHERE crew = 1 GROUP BY name",
        ),
    ],
)
def test_an_additional_filtering_that_begins_with_where(
    database: psycopg.Connection[Any], query: str, condition: str, expected: str
) -> None:
    """It limits the rows beside what the query says, whether or not that has a WHERE."""
    check_condition(condition)
    found = ManifestQuery(query, condition)

    assert rows(database, found.filled(VALUES)) == rows(database, expected)
    if "\n" in expected:
        assert found.filled(VALUES) == expected


@pytest.mark.parametrize(
    ("where", "from_elsewhere"),
    [
        ("at > now() - interval '{HOURS} hours'", True),
        ("at > current_date - {DAYS} AND at <= '{END_TIMESTAMP}'", True),
        ("id IN (SELECT id FROM t WHERE at > now() - interval '{HOURS} hours')", True),
        ("(id = 1 OR at > now() - interval '{HOURS} hours') AND at > '{BEGIN_TIMESTAMP}'", True),
        ("at > '{EXECUTION_DATE}'::timestamp - interval '{HOURS} hours'", False),
        (f"crew > {{DAYS}} * 0 + '{{EXECUTION_DATE}}'::date - CURRENT_DATE AND {ENDS}", False),
        ("age('{END_TIMESTAMP}'::timestamp, at) < (interval '{HOURS} hours') OR id = 1", False),
        (INTERVAL, False),
        (ENDS, False),
        ("id > 1", False),
    ],
)
def test_hours_count_from_the_interval(where: str, *, from_elsewhere: bool) -> None:
    """Counted from now(), they let no row of an earlier piece of an interval pass."""
    query = ManifestQuery(f"SELECT id, '{{HOURS}}' AS h FROM t WHERE {where}")

    assert query.counts_from_elsewhere == from_elsewhere


def test_hours_may_count_from_a_moment_that_is_selected() -> None:
    query = (
        "WITH run AS (SELECT '{EXECUTION_DATE}'::timestamp AS until)"
        " SELECT id FROM t, run WHERE at > run.until - interval '{HOURS} hours'"
    )
    assert not ManifestQuery(query).counts_from_elsewhere


@pytest.mark.parametrize(
    "condition",
    [
        "({times} AND {keys}) OR (at < now() AND {times} AND {keys})",
        "({times} AND {keys}) OR false",
        "(({times} OR id = 3) AND {keys}) AND {times}",
    ],
)
def test_no_outside_row_passes_without_the_interval(
    database: psycopg.Connection[Any], condition: str
) -> None:
    keys, times = "crew IN {INTERNAL_PROJECT_IDS}", "at > '{BEGIN_TIMESTAMP}'"
    query = f"SELECT id FROM boats WHERE {condition.format(keys=keys, times=times)}"
    values = VALUES | {"INTERNAL_PROJECT_IDS": "(1, 2)"}

    found = rows(database, ManifestQuery(query).whole(values))

    assert found == rows(database, "SELECT id FROM boats WHERE crew IN (1, 2)")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT id FROM t JOIN u ON u.at > '{BEGIN_TIMESTAMP}'", "time placeholder in its JOIN"),
        ("SELECT a FROM t GROUP BY a HAVING max(at) > '{END_TIMESTAMP}'", "in its HAVING"),
        ("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM t WHERE at > '{END_TIMESTAMP}')", "below a NOT"),
        (
            "SELECT id FROM t EXCEPT SELECT id FROM t WHERE at < '{BEGIN_TIMESTAMP}'",
            "behind EXCEPT",
        ),
        (
            "SELECT id FROM t WHERE id <> ALL (SELECT id FROM u WHERE at > '{END_TIMESTAMP}')",
            "used",
        ),
        (
            "SELECT 1 WHERE (SELECT count(*) FROM t WHERE at > '{END_TIMESTAMP}') = 0",
            "value is used",
        ),
        ("SELECT (SELECT max(a) FROM t WHERE at > '{END_TIMESTAMP}') AS m FROM u", "is used"),
        (
            (
                "SELECT t.id FROM t LEFT JOIN (SELECT id FROM u WHERE at > '{END_TIMESTAMP}') v"
                " ON v.id = t.id WHERE v.id IS NULL"
            ),
            "below a LEFT JOIN",
        ),
        (
            (
                "SELECT t.id FROM (SELECT id FROM u WHERE at > '{END_TIMESTAMP}') v"
                " RIGHT JOIN t ON v.id = t.id"
            ),
            "below an outer JOIN",
        ),
        (
            (
                "WITH v AS (SELECT id FROM u WHERE at > '{END_TIMESTAMP}')"
                " SELECT id FROM t WHERE id NOT IN (SELECT id FROM v)"
            ),
            "below a NOT",
        ),
        (
            "SELECT 1 WHERE CASE WHEN at > '{END_TIMESTAMP}' THEN p IN {INTERNAL_PROJECT_IDS} END",
            "in one condition",
        ),
        (
            "SELECT 1 WHERE at > '{END_TIMESTAMP}' OR p IN {INTERNAL_PROJECT_IDS}",
            "in one condition",
        ),
        ("SELECT '{TODAY}'", "unknown placeholder {TODAY}"),
        ("SELECT 1 WHERE at > '{execution_date}'", "unknown placeholder {execution_date}"),
        ("SELECT 1 WHERE at > '{EXECUTION-DATE }'", "unknown placeholder {EXECUTION-DATE }"),
        ("SELECT {TODAY}", "unknown placeholder {TODAY}"),
        ("SELECT '{{TODAY}', $${NOW}$$, {THEN }", "placeholder {TODAY}, {NOW}, {THEN }"),
        ("SELECT FROM WHERE (", "does not parse"),
        ("SELECT 'open", "does not parse"),
        ("DELETE FROM t", "is not one SELECT"),
        ("SELECT 1; SELECT 2", "is not one SELECT"),
        ("", "is not one SELECT"),
    ],
)
def test_what_no_run_could_use(query: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ManifestQuery(query)


@pytest.mark.parametrize(
    "condition",
    [
        "AND id < 9 LIMIT 3",
        "AND id < 9 GROUP BY id",
        "AND id < 9 UNION ALL SELECT 1",
        "AND 1; x",
        "WHERE id < 9 LIMIT 3",
        "WHERE id < 9) OR (true",
    ],
)
def test_an_additional_filtering_is_a_condition_alone(condition: str) -> None:
    """What stands behind it would get lost, or let other rows pass."""
    with pytest.raises(ValueError, match=r"is more than a condition|is not one SELECT|not parse"):
        check_condition(condition)
    with pytest.raises(ValueError, match=r"is more than a condition|is not one SELECT|not parse"):
        ManifestQuery("SELECT id FROM t", condition)


@pytest.mark.parametrize("text", ["{a}", "{1,2}", '{"A": 1}', "{}", "{A1}", "a {b"])
def test_braces_that_are_no_placeholder(text: str) -> None:
    assert ManifestQuery(f"SELECT '{text}' AS x").filled(VALUES) == f"SELECT '{text}' AS x"


@pytest.mark.parametrize(
    "name", ["query", "whole_query", "tokens", "placeholders", "findings", "entry_key"]
)
def test_no_regular_expression_and_no_split_looks_at_a_query(name: str) -> None:
    """SQL is read by its tokens and its tree alone."""
    tree = ast.parse((Path(tap_postgres.__file__).parent / f"{name}.py").read_text())

    imported = {
        alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
    }
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert "re" not in imported
    assert not called & {"split", "rsplit", "partition", "rpartition"}


def test_every_time_placeholder_in_a_wrong_place_is_named() -> None:
    query = (
        "SELECT t.id FROM t JOIN u ON u.at > '{BEGIN_TIMESTAMP}'"
        " WHERE NOT (SELECT true FROM v WHERE v.at > '{BEGIN_TIMESTAMP}')"
        " GROUP BY 1 HAVING max(t.at) > '{END_TIMESTAMP}'"
    )
    with pytest.raises(ValueError, match="below a NOT") as caught:
        ManifestQuery(query)

    assert "in its JOIN" in str(caught.value)
    assert "in its HAVING" in str(caught.value)


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("SELECT id, a.Name, b AS C, count(*), 'x' FROM a", ("id", "name", "c", None, None)),
        ('SELECT "Id", b AS "C d" FROM a UNION SELECT 1, 2', ("Id", "C d")),
        ("SELECT *, id FROM a", None),
        ("SELECT a.* FROM a", None),
    ],
)
def test_output_columns(query: str, columns: tuple[str | None, ...] | None) -> None:
    """As PostgreSQL names them: without quotes in lower case."""
    assert ManifestQuery(query).output_columns == columns


@pytest.mark.parametrize(
    ("query", "base"),
    [
        (
            "SELECT Id, x AS y, z + 1 AS w FROM p_boats WHERE a",
            BaseTable("", "p_boats", {"id": "id", "y": "x"}),
        ),
        ('SELECT b.id FROM s."Boats" b', BaseTable("s", "Boats", {"id": "id"})),
        ("SELECT * FROM boats WHERE a", BaseTable("", "boats", None)),
        ("SELECT b.* FROM boats AS b", BaseTable("", "boats", None)),
        ("SELECT *, 1 AS id FROM boats", BaseTable("", "boats", {})),
        ("SELECT DISTINCT id FROM boats", None),
        ("SELECT id FROM boats GROUP BY id", None),
        ("SELECT a.id FROM a JOIN b ON true", None),
        ("SELECT a.id FROM a, b", None),
        ("SELECT id FROM a UNION ALL SELECT id FROM a", None),
        ("SELECT id, unnest(tags) AS t FROM a", None),
        ("SELECT id, generate_series(1, 2) AS t FROM a", None),
        ("SELECT id, own_function(x) AS t FROM a", None),
        ("SELECT id FROM (SELECT id FROM a) AS a", None),
        ("WITH a AS (SELECT 1 AS id UNION ALL SELECT 1) SELECT id FROM a", None),
        ("SELECT id FROM generate_series(1, 3) AS id", None),
        ("SELECT max(id) AS id FROM a", None),
    ],
)
def test_base(query: str, base: BaseTable | None) -> None:
    """A table whose unique index proves the query's key."""
    assert ManifestQuery(query).base == base


@given(
    start=st.datetimes(
        dt.datetime.fromisoformat("1990-01-01"),
        dt.datetime.fromisoformat("2100-01-01"),
        timezones=st.just(dt.UTC),
    ),
    length=st.timedeltas(dt.timedelta(microseconds=1), dt.timedelta(days=900)),
)
def test_hours_and_days_reach_back_far_enough(start: dt.datetime, length: dt.timedelta) -> None:
    """And no more than an hour or a day too far."""
    end = start + length
    values = interval_values(start, end)

    hours, days = int(values["HOURS"]), int(values["DAYS"])
    assert dt.timedelta(hours=hours - 1) < length <= dt.timedelta(hours=hours)
    assert dt.timedelta(days=days - 1) < length <= dt.timedelta(days=days)
    assert dt.datetime.fromisoformat(values["BEGIN_TIMESTAMP"]) == start
    assert dt.datetime.fromisoformat(values["EXECUTION_DATE"]) == end

"""Manifests: queries as streams, and every mistake named at once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Source

WIDGETS = {
    "import_db": "SHOP_DB",
    "database_type": "ops",
    "export_schema": "shop",
    "export_table": "widgets",
    "export_table_primary_key": "id",
    "dbt_source_model": True,
    "deletes_exempt": True,
    "additional_filtering": "AND created_at NOT IN ('0001-01-01 00:00:00+00')",
    "import_query": """SELECT id
      , name -- a comment with {braces} that are no placeholder
      , CASE WHEN name ilike '%%scan%%' THEN 'scan' END AS kind
      , NULL AS ref
      , price
      , tags
      FROM p_widgets
      WHERE updated_at BETWEEN '{EXECUTION_DATE}'::timestamp - interval '{HOURS} hours'
        AND '{EXECUTION_DATE}'::timestamp""",
}
CONNECTIONS = {
    "connection_info": {
        "postgres_source_connection_ops": {
            "host": "OPS_HOST",
            "port": "PG_PORT",
            "database": "OPS_NAME",
            "user": "OPS_USER",
            "pass": "OPS_PASS",
        }
    }
}
INTERVAL = {
    "execution_date": "2024-02-02T00:00:00",
    "hours": 48,
    "backfill_from": "2024-01-31",  # of 48 hours, without a full sync before it
    "backfill_to": "2024-02-02",
}


@pytest.fixture
def shop(source: Source, monkeypatch: pytest.MonkeyPatch) -> Source:
    source.execute(
        "CREATE DOMAIN amount AS numeric(8,2)",
        "CREATE TABLE p_widgets (id int PRIMARY KEY, name text, price amount, tags text[],"
        " created_at timestamptz DEFAULT now(), updated_at timestamp)",
        "INSERT INTO p_widgets (id, name, price, tags, updated_at) VALUES"
        " (1, 'old', 1, NULL, '2024-01-30'), (2, 'a scanner', 2.50, '{x}', '2024-02-01'),"
        " (3, 'a lamp', NULL, NULL, '2024-02-02'), (4, 'new', 4, NULL, '2024-02-03')",
        "INSERT INTO p_widgets (id, created_at, updated_at)"
        " VALUES (5, '0001-01-01Z', '2024-02-01')",
    )
    names = CONNECTIONS["connection_info"]["postgres_source_connection_ops"]
    for key, name in names.items():
        value = getattr(source.connection, {"pass": "password"}.get(key, key))
        monkeypatch.setenv(name, str(value))
    return source


def files(source: Source, *manifests: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Write manifests and connections, and return the settings that name them."""
    paths = []
    for number, tables in enumerate(manifests):
        path = source.folder / f"manifest_{number}.yml"
        path.write_text(yaml.safe_dump({"tables": tables}))
        paths.append(str(path))
    connections = source.folder / "connections.yml"
    connections.write_text(yaml.safe_dump(CONNECTIONS))
    return {"manifests": paths, "connections": str(connections), **INTERVAL, **settings}


def test_a_query_is_a_stream(shop: Source, lane: str) -> None:
    """Filled in, %% taken for %, read through the connection its environment variables give."""
    settings = files(shop, {"widgets": WIDGETS}, host=None, user=None, password=None)

    result = shop.sync(lane, **{k: v for k, v in settings.items() if v is not None})

    (schema,) = result.of_type("SCHEMA")
    assert schema["stream"] == "shop_db_widgets"
    assert schema["key_properties"] == ["id"]
    assert schema["schema"]["properties"]["price"]["x-sql-datatype"] == "number(8,2)"
    assert schema["schema"]["properties"]["ref"] == {"type": ["string", "null"]}
    rows = shop.rows(lane, result, "shop_db_widgets")
    assert [(row["id"], row["kind"], row["price"]) for row in rows] == [
        (2, "scan", Decimal("2.50")),
        (3, None, None),
    ]
    assert rows[0]["tags"] == (["x"] if lane == "records" else '["x"]')


@pytest.mark.parametrize(
    "where",
    [
        "updated_at > '{BEGIN_TIMESTAMP}' AND updated_at <= '{END_TIMESTAMP}'",
        "updated_at > timestamp '{EXECUTION_DATE}' - interval '{DAYS} days' AND id <> 4",
    ],
)
def test_the_other_placeholders(shop: Source, where: str) -> None:
    """The interval's ends, and its length in days."""
    table = WIDGETS | {"import_query": f"SELECT id FROM p_widgets WHERE {where}"}

    result = shop.sync(**files(shop, {"widgets": table}))

    assert [row["id"] for row in result.records("shop_db_widgets")] == [2, 3]


def test_tables_come_along_when_asked_for(shop: Source) -> None:
    """Manifests alone offer no tables; the setting tables adds them."""
    settings = files(shop, {"widgets": WIDGETS})

    alone = shop.catalog(**settings)["streams"]
    both = shop.catalog(**settings, tables=["public.*"])["streams"]

    assert [s["tap_stream_id"] for s in alone] == ["shop_db_widgets"]
    assert [s["tap_stream_id"] for s in both] == ["public-p_widgets", "shop_db_widgets"]


WITHIN = "at <= '{END_TIMESTAMP}'"


def test_every_mistake_is_named_at_once(shop: Source) -> None:
    """File, table and key for each, so that one correction is enough."""
    without_key = {k: v for k, v in WIDGETS.items() if k != "export_table_primary_key"}
    settings = files(
        shop,
        {
            "one": without_key | {"export_table": "one"},
            "two": WIDGETS | {"import_query": "SELECT {TODAY} FROM t"},
            "three": WIDGETS | {"import_query": "SELECT FROM WHERE ("},
            "four": WIDGETS | {"import_query": "DROP TABLE t"},
            "five": WIDGETS | {"additional_filtering": "OR true"},
            "nine": WIDGETS | {"import_query": f"SELECT name FROM t WHERE {WITHIN}"},
            "ten": WIDGETS | {"import_query": "SELECT id, a AS ID FROM t"},
            "eleven": WIDGETS
            | {"import_query": "SELECT id FROM t JOIN u ON u.at > '{END_TIMESTAMP}'"},
            "twelve": {
                "import_db": 5,
                "export_table_primary_key": "other",
                "additional_filtering": "nonsense",
                "import_query": "SELECT id, '{TODAY}' AS id, 1 AS _Uploaded_At FROM t"
                f" WHERE {WITHIN} FOR UPDATE",
            },
            "thirteen": "a text",
        },
        {"six": WIDGETS | {"colour": "red"}, "seven": WIDGETS, "eight": WIDGETS},
        {},
    )
    (shop.folder / "manifest_3.yml").write_text("tables:\n  a: [\n")
    (shop.folder / "manifest_4.yml").write_text(
        "tables:\n  a: {import_db: x}\n  a: {import_db: !!int y}\n"
    )
    settings["manifests"] += [str(shop.folder / f"manifest_{number}.yml") for number in (3, 4)]
    settings["manifest_tables"] = ["seven", "nowhere"]

    with pytest.raises(TapError) as caught:
        shop.sync(**settings)

    said = str(caught.value)
    for part in (
        "manifest_0.yml, table one, key export_table_primary_key: field required",
        "table two, key import_query: unknown placeholder {TODAY}",
        "table three, key import_query: does not parse",
        "table four, key import_query: is not one SELECT",
        "table five, key additional_filtering: does not start with AND",
        "table nine, key export_table_primary_key: names id, which import_query does not select",
        "table ten, key import_query: selects id more than once",
        "table eleven, key import_query: has a time placeholder in its JOIN",
        "manifest_1.yml, table six, key colour: extra inputs are not permitted",
        "10 tables make the stream shop_db_widgets: ",
        "seven (",
        "table twelve, key import_db: input should be a valid string",
        "table twelve, key export_table: field required",
        "table twelve, key additional_filtering: does not start with AND",
        "table twelve, key import_query: unknown placeholder {TODAY}",
        "table twelve, key import_query: selects id more than once",
        "table twelve, key import_query: selects _uploaded_at, a name that the tap gives",
        "table twelve, key import_query: locks rows (FOR UPDATE",
        "table twelve, key export_table_primary_key: names other, which import_query does not",
        "table thirteen: is no mapping of keys",
        "manifest_2.yml, key tables: is empty, so there is nothing to load",
        "manifest_3.yml failed: line 3, column 1",
        "manifest_4.yml, line 3, column 3: the key a stands there twice",
        "manifest_4.yml, line 3, column 18: what stands there is no int",
        "manifest_4.yml, table a, key export_schema: field required",
        "the manifests have no table nowhere",
    ):
        assert part in said, part
    assert ".;" not in said
    assert ".." not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "tables:\n  a:\n    export_table: 2024-13-45\n",
            "line 3, column 19: .* no timestamp; put",
        ),
        ("tables: !!int foo\n", "line 1, column 9: what stands there is no int"),
        ("tables: !!timestamp foo\n", "is no timestamp"),
        ("tables: !!bool foo\n", "is no bool"),
        ("tables: !foo bar\n", "could not determine a constructor for the tag"),
        ("tables: " + "[" * 5000, "failed: it is nested too deeply"),
        ("tables: {a: {b: [\n", "failed: line 2, column 1"),
        ("tables: {}\n", "is empty, so there is nothing to load"),
        ("tables: [1]\n", "is no mapping of tables"),
        ("", "the key tables is missing"),
        ("tables: \x00", "failed: unacceptable character"),
    ],
)
def test_files_that_are_no_manifest(source: Source, text: str, said: str) -> None:
    """A sentence with the place, and never Python's own error."""
    path = source.folder / "manifest.yml"
    path.write_text(text)

    with pytest.raises(TapError, match=said) as caught:
        source.sync(manifests=[str(path)])
    assert ".." not in str(caught.value)


MANY = " AND ".join(f"id <> {number + 10}" for number in range(5000))
DEEP = "(" * 5000 + "id" + ")" * 5000


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        (MANY, ""),
        (f"{WITHIN} AND {MANY}", ""),
        (f"{MANY} AND {WITHIN}", ""),
        (WITHIN, f"AND {MANY}"),
    ],
    ids=["no time", "time first", "time last", "additional"],
)
def test_a_query_of_five_thousand_conditions(source: Source, where: str, condition: str) -> None:
    """Conditions in a row are no deep tree."""
    source.execute(
        "CREATE TABLE p_widgets (id int PRIMARY KEY, at timestamptz DEFAULT '2024-02-01Z')",
        "INSERT INTO p_widgets VALUES (7), (11)",
    )
    query = {"import_query": f"SELECT id FROM p_widgets WHERE {where}"}
    settings = files(source, {"widgets": WIDGETS | query | {"additional_filtering": condition}})
    del settings["connections"], settings["backfill_from"], settings["backfill_to"]

    first = source.sync(**settings)
    second = source.sync(state=first.state, **settings, interval_from="schedule")

    for result in (first, second):
        assert [row["id"] for row in result.records("shop_db_widgets")] == [7]


@pytest.mark.parametrize("key", ["import_query", "additional_filtering"])
def test_a_query_that_is_nested_too_deeply(source: Source, key: str) -> None:
    text = f"AND {DEEP} > 0" if key == "additional_filtering" else f"SELECT {DEEP} AS id FROM t"
    settings = files(source, {"widgets": WIDGETS | {key: text}})

    with pytest.raises(TapError, match=f"table widgets, key {key}: is nested too deeply"):
        source.sync(**settings)


def test_an_entry_with_mistakes_stops_its_own_table_only(shop: Source, lane: str) -> None:
    """The others are read; the run fails at its end and names file, table and key of each."""
    query = "SELECT id FROM p_widgets"
    hours = f"{query} WHERE updated_at > now() - interval '{{HOURS}} hours'"
    within = f"{query} WHERE updated_at <= '{{END_TIMESTAMP}}'"
    wrong = {
        "unparsed": {"import_query": "SELECT FROM WHERE ("},
        "coloured": {"colour": "red"},
        "elsewhere": {"import_query": hours},
        "keyless": {"import_query": within, "export_table_primary_key": ""},
        "computed": {"import_query": within, "export_table_primary_key": "CONCAT(id, '_', name)"},
        "one": {"export_table": "both"},
        "other": {"export_table": "both"},
    }
    tables = {name: WIDGETS | {"export_table": name} | keys for name, keys in wrong.items()}
    settings = files(shop, {"widgets": WIDGETS, **tables})
    path = shop.folder / "manifest_0.yml"
    path.write_text(path.read_text() + "  twice: {import_db: a, import_db: b}\n")

    done, result = shop.run(lane, **settings)

    last = done.stderr.decode().strip().splitlines()[-1]
    assert done.returncode == 1
    assert "7 of 8 streams failed. The others were read to their end." in last
    for part in (
        "shop_db_unparsed: Reading the manifests found: ",
        "manifest_0.yml, table unparsed, key import_query: does not parse",
        "table coloured, key colour: extra inputs are not permitted. Correct the manifest",
        "table elsewhere, key import_query: counts {HOURS} or {DAYS} from another moment than",
        "table keyless, key export_table_primary_key: is empty, but increments are merged by it",
        "table computed, key export_table_primary_key: is the expression CONCAT(id, '_', name)",
        "shop_db_both: Reading the manifests found: 2 tables make the stream shop_db_both: one",
        "twice: Reading the manifests found: ",
        "the key import_db stands there twice; ",
        "table twice, key export_table: field required; ",
    ):
        assert part in last, part
    assert [row["id"] for row in shop.rows(lane, result, "shop_db_widgets")] == [2, 3]


def test_an_entry_with_mistakes_that_the_run_leaves_out(shop: Source) -> None:
    """By manifest_tables, or by the load type where the entry tells what kind of table it is."""
    within = "SELECT id FROM p_widgets WHERE updated_at <= '{END_TIMESTAMP}'"
    keyless = WIDGETS | {"export_table": "keyless", "export_table_primary_key": ""}
    copied = WIDGETS | {"export_table": "copied", "import_query": "SELECT id FROM p_widgets"}
    tables = {"keyless": keyless | {"import_query": within}, "copied": copied}
    settings = files(shop, tables)
    del settings["backfill_from"], settings["backfill_to"]

    by_name = shop.sync(manifest_tables=["copied"], **settings)
    by_type = shop.sync(load_type="scd", **settings)

    for result in (by_name, by_type):
        assert len(result.records("shop_db_copied")) == 4
    with pytest.raises(TapError, match=r"1 of 2 streams failed.* shop_db_keyless: .* is empty"):
        shop.sync(**settings)


@pytest.mark.parametrize(
    ("key", "columns"),
    [
        ("ID", ["id"]),
        ('id, "Name"', ["id", "Name"]),
        ("price, ID -- both", ["price", "id"]),
        ("CONCAT(ID,'_',name)", ["one"]),
        ("name || '-', id", ["other", "id"]),
    ],
)
def test_keys_are_read_as_sql(shop: Source, key: str, columns: list[str]) -> None:
    """Names in lower case but for quotes; an expression is the column that shows it."""
    query = (
        "SELECT id, price, name AS \"Name\", concat(id, '_', Name) AS One, name||'-' AS other"
        " FROM p_widgets WHERE updated_at <= '{END_TIMESTAMP}' AND id IN (2, 4)"
    )
    table = WIDGETS | {"export_table_primary_key": key, "import_query": query}

    result = shop.sync(**files(shop, {"widgets": table}))

    (schema,) = result.of_type("SCHEMA")
    assert schema["key_properties"] == columns
    assert {row["id"] for row in result.records("shop_db_widgets")} == {2}


def test_entries_as_old_manifests_have_them(shop: Source, lane: str) -> None:
    """An import_schema, which the query names if it needs it; a key without a value is absent."""
    table = {
        **WIDGETS,
        "import_schema": "information_schema",
        "export_table_primary_key": "concat(table_name, '.', ordinal_position)",
        "import_query": "SELECT concat(table_name, '.', ordinal_position) AS place, column_name"
        " FROM information_schema.columns WHERE table_name = 'p_widgets'",
        "additional_filtering": "WHERE column_name <> 'id'",
        "database_type": "ops",
        "deletes_exempt": None,
    }
    empty = WIDGETS | {"export_table": "empty", "additional_filtering": None}
    settings = files(shop, {"columns": table, "empty": empty})

    result = shop.sync(lane, **settings)

    places = [row["place"] for row in shop.rows(lane, result, "shop_db_widgets")]
    assert sorted(places) == [f"p_widgets.{number}" for number in range(2, 7)]
    assert {row["id"] for row in shop.rows(lane, result, "shop_db_empty")} == {2, 3, 5}


@pytest.mark.parametrize("other", ["unknown", "unset", "unreachable"])
def test_a_connection_that_cannot_be_made_stops_its_own_tables_only(
    shop: Source, lane: str, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Those of the other connections are read; the run fails at its end and says which and why."""
    lost = WIDGETS | {"database_type": "main", "export_table": "lost"}
    settings = files(shop, {"widgets": WIDGETS, "lost": lost})
    said = "connection_info has no postgres_source_connection_main"
    if other != "unknown":
        names = CONNECTIONS["connection_info"]["postgres_source_connection_ops"]
        changed = names | ({"pass": "NO_PASS"} if other == "unset" else {"port": "DEAD_PORT"})
        both = {"postgres_source_connection_ops": names, "postgres_source_connection_main": changed}
        path = shop.folder / "connections.yml"
        path.write_text(yaml.safe_dump({"connection_info": both}))
        monkeypatch.setenv("DEAD_PORT", "1")
        said = "needs the environment variable NO_PASS" if other == "unset" else "DEAD_PORT"

    done, result = shop.run(lane, **settings)

    last = done.stderr.decode().strip().splitlines()[-1]
    assert done.returncode == 1
    assert "1 of 2 streams failed. The others were read to their end. shop_db_lost: " in last
    assert said in last
    assert [row["id"] for row in shop.rows(lane, result, "shop_db_widgets")] == [2, 3]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OPS_PASS", "wrong", "the environment variables OPS_USER and OPS_PASS"),
        ("OPS_NAME", "nowhere", "the environment variable OPS_NAME"),
        ("OPS_HOST", "nowhere.invalid", "the environment variables OPS_HOST and PG_PORT"),
    ],
)
def test_advice_names_the_variable_that_the_value_came_from(
    shop: Source, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """And not settings that nobody has set."""
    shop.execute("DROP ROLE IF EXISTS sailor", "CREATE ROLE sailor LOGIN PASSWORD 'x'")
    monkeypatch.setenv("OPS_USER", "sailor" if variable == "OPS_PASS" else shop.connection.user)
    monkeypatch.setenv(variable, value)

    with pytest.raises(TapError, match=rf"[^.]\. Check {said}") as caught:
        shop.sync(**files(shop, {"widgets": WIDGETS}))
    assert "setting" not in str(caught.value)


def test_a_variable_that_is_not_set(shop: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variable, and no value of another."""
    monkeypatch.delenv("OPS_PASS")

    with pytest.raises(TapError, match=r"needs the environment variable OPS_PASS\. Set it\.$"):
        shop.sync(**files(shop, {"widgets": WIDGETS}))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"manifests": ["nowhere.yml"]}, "Reading nowhere.yml failed: No such file"),
        ({"execution_date": "yesterday"}, "execution_date is yesterday, not a moment"),
    ],
)
def test_settings_about_manifests(shop: Source, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TapError, match=sentence):
        shop.sync(**files(shop, {"widgets": WIDGETS}) | settings)


def test_a_key_that_stands_twice(shop: Source) -> None:
    """YAML's reader would keep the last table of that name and lose the first."""
    settings = files(shop, {"widgets": WIDGETS})
    path = shop.folder / "manifest_0.yml"
    path.write_text(path.read_text() + "  widgets: {}\n")

    with pytest.raises(TapError, match="the key widgets stands there twice"):
        shop.sync(**settings)


def test_only_some_tables(shop: Source) -> None:
    """By their names in the manifest or in the warehouse; a misspelling shows the near ones."""
    other = WIDGETS | {"export_table": "gadgets"}
    settings = files(shop, {"widgets": WIDGETS, "gizmos": other})

    named = shop.catalog(**settings, manifest_tables=["gadgets"])["streams"]

    assert [stream["tap_stream_id"] for stream in named] == ["shop_db_gadgets"]
    with pytest.raises(TapError, match="no table widget; there are widgets"):
        shop.catalog(**settings, manifest_tables=["widget"])


def test_names_without_the_database(shop: Source) -> None:
    settings = files(shop, {"widgets": WIDGETS}, target_name="export_table")

    (stream,) = shop.catalog(**settings)["streams"]

    assert stream["tap_stream_id"] == "widgets"


def test_a_date_beyond_python(shop: Source) -> None:
    """Real tables hold year 10000; out_of_range decides for queries too."""
    shop.execute("UPDATE p_widgets SET created_at = '10000-01-01Z' WHERE id = 2")
    query = "SELECT id, created_at FROM p_widgets WHERE id < 3"
    settings = files(shop, {"widgets": WIDGETS | {"import_query": query}})
    del settings["backfill_from"], settings["backfill_to"]

    with pytest.raises(TapError, match=r"shop_db_widgets, column created_at, row id=2"):
        shop.sync(**settings)
    rows = shop.sync(**settings, out_of_range="null").records("shop_db_widgets")

    assert rows[1]["created_at"] is None
    assert dt.datetime.fromisoformat(rows[0]["created_at"]).year > 2000

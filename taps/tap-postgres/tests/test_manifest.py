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
            "nine": WIDGETS | {"import_query": "SELECT name FROM t"},
            "ten": WIDGETS | {"import_query": "SELECT id, a AS ID FROM t"},
            "eleven": WIDGETS
            | {"import_query": "SELECT id FROM t JOIN u ON u.at > '{END_TIMESTAMP}'"},
        },
        {"six": WIDGETS | {"colour": "red"}, "seven": WIDGETS, "eight": WIDGETS},
    )

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
        "2 tables make the stream shop_db_widgets",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"import_query": "SELECT nope AS id FROM p_widgets"}, 'column "nope" does not exist'),
        (
            {"import_query": "SELECT * FROM (SELECT name, created_at FROM p_widgets) w"},
            "names id, which its",
        ),
        ({"database_type": "main"}, "no postgres_source_connection_main"),
    ],
)
def test_what_only_the_database_can_tell(
    shop: Source, change: dict[str, Any], sentence: str
) -> None:
    """A query may parse and still not fit the database."""
    with pytest.raises(TapError, match=sentence):
        shop.sync(**files(shop, {"widgets": WIDGETS | change}))


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

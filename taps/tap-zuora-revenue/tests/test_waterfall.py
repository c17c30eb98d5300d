"""The waterfall, computed by hand: which periods each schedule is seen from, and its amounts."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tap_zuora_revenue.waterfall import PREFIX, main

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.testing import Warehouse

COLUMNS = (
    "AS_OF_PRD_ID SCHD_ID LINE_ID ROOT_LINE_ID PRD_ID POST_PRD_ID SEC_ATR_VAL BOOK_ID CLIENT_ID"
    " ACCTG_SEG ACCTG_TYPE_ID NETTING_ENTRY_FLAG SCHD_TYPE_FLAG T_AT F_AT R_AT CRTD_PRD_ID CRTD_DT"
    " CRTD_BY UPDT_DT UPDT_BY INCR_UPDT_DT"
)
SOURCE_COLUMNS = (
    "SCHD_ID ACCTG_TYPE CRTD_PRD_ID PRD_ID POST_PRD_ID AMOUNT F_EX_RATE G_EX_RATE LINE_ID"
    " ROOT_LINE_ID SEC_ATR_VAL BOOK_ID CLIENT_ID ACCTG_SEG NETTING_ENTRY_FLAG SCHD_TYPE_FLAG"
    " CRTD_DT CRTD_BY UPDT_DT UPDT_BY INCR_UPDT_DT"
)
# The last two of 2023 and the first three of 2024; and 202404, which is not in the calendar.
PERIODS = ["202311", "202312", "202401", "202402", "202403"]
ONE = ("1", "1")
# By schedule: account type, created in, due in, posted in, amount, both rates; then the periods
# that it is seen from, and its amount in each of the three currencies.
CASES: dict[str, tuple[tuple[Any, ...], list[str], tuple[str, ...] | None]] = {
    # A release: created and due in one period, so seen from that one only.
    "release": (
        ("A", "202401", "202401", "202401", "100.00", *ONE), ["202401"], ("100", "100", "100"),
    ),
    # Deferred: due two periods later, so seen from all three.
    "deferral": (
        ("L", "202401", "202403", "", "90.00", *ONE),
        ["202401", "202402", "202403"], ("90", "90", "90"),
    ),
    # Over the end of a year: the numbers jump from 202312 to 202401.
    "over the year's end": (
        ("A", "202311", "202402", "", "7.5", *ONE),
        ["202311", "202312", "202401", "202402"], ("7.5", "7.5", "7.5"),
    ),
    # A closed period: posted in it already; it is seen as if it were not.
    "closed period": (
        ("A", "202312", "202401", "202312", "10", *ONE), ["202312", "202401"], ("10", "10", "10"),
    ),
    # Created before the first period of the calendar: seen from those that there are.
    "older than the calendar": (
        ("A", "202001", "202312", "202312", "20", *ONE), ["202311", "202312"], ("20", "20", "20"),
    ),
    # Due after the last one of the calendar.
    "longer than the calendar": (
        ("A", "202403", "202512", "", "30", *ONE), ["202403"], ("30", "30", "30"),
    ),
    # In periods that the calendar does not have.
    "outside of the calendar": (("A", "202404", "202405", "", "40", *ONE), [], None),
    # Due before it was created, as a correction of a closed period may be: seen from none.
    "due before created": (("A", "202402", "202401", "202402", "50", *ONE), [], None),
    # An account type that the waterfall leaves out, and one that there is not.
    "hidden account type": (("X", "202401", "202401", "", "60", *ONE), [], None),
    "unknown account type": (("?", "202401", "202401", "", "61", *ONE), [], None),
    # Deleted at the source, but still in the table.
    "deleted": (("A", "202401", "202403", "", "70", *ONE), [], None),
    # Three currencies: transaction, times the first rate, times both.
    "currencies": (
        ("A", "202401", "202401", "", "80.00", "1.25", "0.5"), ["202401"], ("80", "100", "50"),
    ),
    # A reversal is negative; rates with many digits are exact.
    "reversal": (
        ("A", "202402", "202402", "", "-1234567.89", "1.0000001", "2"),
        ["202402"], ("-1234567.89", "-1234568.013456789", "-2469136.026913578"),
    ),
    # Without a rate there is no amount in that currency, nor in the one behind.
    "no rate": (("A", "202401", "202401", "", "5", None, "2"), ["202401"], ("5", None, None)),
    # Zero is an amount.
    "zero": (("L", "202403", "202403", "", "0", "3", "3"), ["202403"], ("0", "0", "0")),
    # One schedule may have several accounting rows, each of them seen.
    "two rows": (("A", "202401", "202401", "", "1", *ONE), ["202401"], ("1", "1", "1")),
}  # fmt: skip


def schedule(name: str, values: tuple[Any, ...]) -> list[str | None]:
    stamps = ["2024-01-01T00:00:00", "creator", f"2024-02-02 {name}", "changer", "2024-03-03"]
    return [name, *values, "L1", "R1", "all", "B1", "1", "4000", "N", "R", *stamps]


@pytest.fixture
def make(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Run the command as Meltano does, with the loader's variables."""
    for name, value in warehouse.config.items():
        if name != "schema":
            monkeypatch.setenv(PREFIX + name.upper(), str(value))
    runner = CliRunner()
    return lambda: runner.invoke(main, ["--schema", warehouse.schema])


def fill(warehouse: Warehouse, **tables: tuple[list[str], list[list[str | None]]]) -> None:
    warehouse.query(f"CREATE SCHEMA IF NOT EXISTS {warehouse.schema}")
    for table, (columns, rows) in tables.items():
        defined = ", ".join(f"{column} VARCHAR" for column in columns)
        warehouse.query(f"CREATE TABLE {warehouse.schema}.{table} ({defined})")
        values = ", ".join(
            "("
            + ", ".join(
                "NULL" if v is None else f"'{v.replace(chr(39), chr(39) * 2)}'" for v in row
            )
            + ")"
            for row in rows
        )
        warehouse.query(f"INSERT INTO {warehouse.schema}.{table} VALUES {values}")


def fill_sources(warehouse: Warehouse) -> None:
    rows = [schedule(name, values) for name, (values, _, _) in CASES.items()]
    rows.append(schedule("two rows", ("L", "202401", "202401", "", "-1", *ONE)))
    calendar = [[period, client] for period in PERIODS for client in ("1", "2")]
    types = [["A", "Y"], ["L", "Y"], ["X", "N"], ["N", None]]
    fill(
        warehouse,
        BI3_RC_SCHD=(SOURCE_COLUMNS.split(), rows),
        BI3_CALENDAR=(["ID", "CLIENT_ID"], calendar),
        BI3_ACCT_TYPE=(["ID", "WATERFALL_FLAG"], types),
    )


def waterfall(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.query(
        f"SELECT * FROM {warehouse.schema}.BI3_WF_SUMM"
        " ORDER BY SCHD_ID, AS_OF_PRD_ID, ACCTG_TYPE_ID"
    )


def test_sixteen_schedules_by_hand(warehouse: Warehouse, make: Callable[[], Any]) -> None:
    """A calendar with each period twice, for two clients, multiplies nothing."""
    fill_sources(warehouse)
    fill(warehouse, BI3_RC_SCHD_DEL=(["SCHD_ID", "CLIENT_ID"], [["deleted", "1"], ["other", "1"]]))

    done = make()

    assert done.exit_code == 0, done.output
    rows = waterfall(warehouse)
    assert list(rows[0]) == COLUMNS.split()
    for name, (_, periods, amounts) in CASES.items():
        mine = [row for row in rows if row["SCHD_ID"] == name and row["T_AT"] != -1]
        assert [row["AS_OF_PRD_ID"] for row in mine] == periods, name
        for row in mine:
            assert amounts is not None
            expected = [None if amount is None else Decimal(amount) for amount in amounts]
            assert [row["T_AT"], row["F_AT"], row["R_AT"]] == expected, name
    assert [row["T_AT"] for row in rows if row["SCHD_ID"] == "two rows"] == [1, -1]


def test_the_other_columns_are_those_of_the_schedule(
    warehouse: Warehouse, make: Callable[[], Any]
) -> None:
    """INCR_UPDT_DT is the schedule's UPDT_DT, not its own INCR_UPDT_DT."""
    fill_sources(warehouse)
    make()

    (row,) = [row for row in waterfall(warehouse) if row["SCHD_ID"] == "release"]
    assert row == {
        "AS_OF_PRD_ID": "202401", "SCHD_ID": "release", "LINE_ID": "L1", "ROOT_LINE_ID": "R1",
        "PRD_ID": "202401", "POST_PRD_ID": "202401", "SEC_ATR_VAL": "all", "BOOK_ID": "B1",
        "CLIENT_ID": "1", "ACCTG_SEG": "4000", "ACCTG_TYPE_ID": "A", "NETTING_ENTRY_FLAG": "N",
        "SCHD_TYPE_FLAG": "R", "T_AT": 100, "F_AT": 100, "R_AT": 100, "CRTD_PRD_ID": "202401",
        "CRTD_DT": "2024-01-01T00:00:00", "CRTD_BY": "creator", "UPDT_DT": "2024-02-02 release",
        "UPDT_BY": "changer", "INCR_UPDT_DT": "2024-02-02 release",
    }  # fmt: skip


def test_deleted_schedules_leave_when_their_table_comes(
    warehouse: Warehouse, make: Callable[[], Any]
) -> None:
    """A view without rows makes no table, so the waterfall must do without it at first."""
    fill_sources(warehouse)
    make()
    before = [row["AS_OF_PRD_ID"] for row in waterfall(warehouse) if row["SCHD_ID"] == "deleted"]
    fill(warehouse, BI3_RC_SCHD_DEL=(["SCHD_ID"], [["deleted"]]))

    make()

    assert before == ["202401", "202402", "202403"]
    assert "deleted" not in {row["SCHD_ID"] for row in waterfall(warehouse)}


def test_the_view_follows_its_tables(warehouse: Warehouse, make: Callable[[], Any]) -> None:
    """It is a view: the next load shows without another run."""
    fill_sources(warehouse)
    make()

    warehouse.query(f"DELETE FROM {warehouse.schema}.BI3_RC_SCHD WHERE SCHD_ID <> 'release'")

    assert [row["SCHD_ID"] for row in waterfall(warehouse)] == ["release"]


def test_missing_tables_are_named(warehouse: Warehouse, make: Callable[[], Any]) -> None:
    warehouse.query(f"CREATE SCHEMA IF NOT EXISTS {warehouse.schema}")

    done = make()

    assert done.exit_code == 1
    assert "has no BI3_ACCT_TYPE, BI3_CALENDAR, BI3_RC_SCHD. Load them first." in done.output


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCOUNT", "USER", "DATABASE"):
        monkeypatch.delenv(PREFIX + name, raising=False)

    done = CliRunner().invoke(main, ["--schema", "ANY"])

    assert done.exit_code == 1
    assert "Set TARGET_SNOWFLAKE_ACCOUNT, TARGET_SNOWFLAKE_USER" in done.output

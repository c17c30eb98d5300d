"""tap-oci over HTTP against its stand-in: every value, in both lanes."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.oci_reports import COST, FOCUS, USAGE
from sandbox.vendors.oci_rows import FIRST_DAY, compressed

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Oracle
    from tapsupport.testing import SyncResult

STREAMS = {"oci_cost_report": COST, "oci_usage_report": USAGE, "focus_report": FOCUS}
NAME = f"{COST}0000000000000001-00001.csv.gz"


@pytest.mark.parametrize("stream", STREAMS)
def test_every_value_in_both_lanes(oracle: Oracle, stream: str, tmp_path: Path) -> None:
    """Columns come and go and stand in any order; text has quotes, commas and line ends."""
    oracle.vendor.add_usage(0)
    oracle.vendor.add_usage(1)

    records = oracle.sync(stream)
    files = oracle.sync(stream, batch_config=batch_config(tmp_path))

    wanted = oracle.expected(stream, STREAMS[stream])
    assert wanted
    assert oracle.compared(stream, records.records(stream)) == wanted
    assert oracle.compared(stream, rows_of(files, stream)) == wanted


def test_new_columns_are_told_before_their_rows(oracle: Oracle, tmp_path: Path) -> None:
    """A loader must know a column before a file that has it; those before it lack it."""
    result = oracle.sync("oci_cost_report", batch_config=batch_config(tmp_path))

    columns = [set(m["schema"]["properties"]) for m in result.of_type("SCHEMA")]
    assert [new - old for old, new in pairwise(columns)] == [{"product_availability_zone"}]
    kinds = [message["type"] for message in result.messages]
    assert kinds.index("BATCH") < len(kinds) - 1 - kinds[::-1].index("SCHEMA")


def test_tags_as_columns(oracle: Oracle) -> None:
    """By setting, each key is a column of its own; a file without it has none."""
    result = oracle.sync("oci_cost_report", tags="columns")

    rows = result.records("oci_cost_report")
    keys = {name for row in rows for name in row if name.startswith("tags_")}
    assert keys == {
        "tags_oracle_tags_created_by",
        "tags_oracle_tags_created_on",
        "tags_orcl_cloud_free_tier_retained",
        "tags_finance_team",
        "tags_ok_ecluster_name",
    }
    assert {row["tags_finance_team"] for row in rows if "tags_finance_team" in row} > {None}


def test_a_column_that_is_not_selected_is_not_sent(oracle: Oracle) -> None:
    from tap_oci.tap import TapOCI  # noqa: PLC0415 - likewise
    from tapsupport.testing import run_tap  # noqa: PLC0415 - as the fixture does

    catalog = dict(TapOCI(config=oracle.config).catalog_dict)
    for entry in catalog["streams"]:
        for metadata in entry["metadata"]:
            if metadata["breadcrumb"][-1:] in (["tags"], ["cost_my_cost"]):
                metadata["metadata"]["selected"] = False

    rows = run_tap(TapOCI, oracle.config, catalog=catalog).records("oci_cost_report")

    assert rows
    assert not {"tags", "cost_my_cost"} & {name for row in rows for name in row}


@pytest.mark.parametrize(
    ("cost", "excess", "loaded"),
    [
        ("1.5", "error", "1.5"),
        ("-2E-7", "error", "-0.0000002"),
        ("", "error", None),
        ("12345678901234567890.123456789012345678", "error",
         "12345678901234567890.123456789012345678"),
        ("0.1234567890123456785", "round", "0.123456789012345678"),
        ("0.1234567890123456775", "round", "0.123456789012345678"),
    ],
)  # fmt: skip
def test_costs_are_exact(oracle: Oracle, cost: str, excess: str, loaded: str | None) -> None:
    oracle.vendor.objects.clear()
    oracle.vendor.put(NAME, compressed(["cost/myCost"], [[cost], ["1"]]), FIRST_DAY)

    (row, _) = oracle.sync("oci_cost_report", excess_decimals=excess).records("oci_cost_report")

    assert row["cost_my_cost"] == (None if loaded is None else Decimal(loaded))


@pytest.mark.parametrize(
    "moment", ["2026-02-14T06:00Z", "2026-02-14T06:00:00Z", "2026-02-14T06:00:00.000Z"]
)
def test_moments_with_and_without_seconds(oracle: Oracle, moment: str) -> None:
    oracle.vendor.objects.clear()
    body = compressed(["lineItem/intervalUsageStart"], [[moment]])
    oracle.vendor.put(NAME, body, FIRST_DAY)

    (row,) = oracle.sync("oci_cost_report").records("oci_cost_report")

    assert row["line_item_interval_usage_start"] == "2026-02-14T06:00:00.000000+00:00"


def test_a_file_without_rows_is_loaded_once(oracle: Oracle) -> None:
    oracle.vendor.objects.clear()
    oracle.vendor.put(NAME, compressed(["cost/myCost"], []), FIRST_DAY)

    first = oracle.sync("oci_cost_report")
    second = oracle.sync("oci_cost_report", state=first.state)

    assert first.records("oci_cost_report") == []
    assert len(oracle.reads()) == 1
    assert second.of_type("SCHEMA") == []


def test_no_usage_reports_are_no_error(oracle: Oracle) -> None:
    """Oracle makes none any more."""
    result = oracle.sync("oci_usage_report")

    assert [message["type"] for message in result.messages] == ["STATE"]


def batch_config(folder: Path) -> dict[str, Any]:
    return {"encoding": {"format": "parquet"}, "storage": {"root": str(folder)}}


def rows_of(result: SyncResult, stream: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - for this alone

    return [row for path in result.batches(stream) for row in pq.read_table(path).to_pylist()]

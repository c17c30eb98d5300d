"""The tap and the loader together: what stands in the warehouse afterwards."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from snowflake_loader.errors import LoadError
from tapsupport.testing import SyncResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Loader, Tenant
    from sandbox.vendors.zuora_revenue import ZuoraRevenue

LINES = "BI3_RC_LNS"
HOLDS = "BI3_RC_HOLD"
BIN = Path(sys.executable).parent
DERIVED = {"BI3_WF_SUMM", "BI3_LN_ACCT_SUMM"}
HTML = "<!DOCTYPE html><html><body>Service unavailable</body></html>"


def test_every_value_of_every_view_arrives(tenant: Tenant, loader: Loader) -> None:
    """All VARCHAR, in the file's order; a view without rows makes no table."""
    loader.load(tenant.sync())

    filled = {name: view for name, view in tenant.vendor.views.items() if view.rows}
    assert loader.tables() == filled.keys() - DERIVED
    for name in loader.tables():
        rows = loader.rows(name)
        assert tenant.in_order(rows) == tenant.in_order(tenant.expected(name)), name
        assert list(rows[0]) == filled[name].header
    types = loader.warehouse.query(
        "SELECT DISTINCT DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA ="
        f" '{loader.warehouse.schema}' AND TABLE_NAME LIKE 'BI3%'"
    )
    assert [row["DATA_TYPE"] for row in types] == ["TEXT"]


def _expire(vendor: ZuoraRevenue) -> None:
    vendor.token_uses = 3


def _pack(vendor: ZuoraRevenue) -> None:
    vendor.content_encoding = True


def _cut(vendor: ZuoraRevenue) -> None:
    task = vendor.begin_task(LINES, "2016-01-01", "2030-01-01", 10)
    text = vendor.page_body(task, 2).decode()
    vendor.tasks.clear()
    cut = text[: text.rindex('"')]
    vendor.faults.add(path=f"{LINES}?", skip=1, status=200, body=cut)


def _html(vendor: ZuoraRevenue) -> None:
    for skip in (0, 2):
        vendor.faults.add(path=f"{LINES}?", skip=skip, status=200, body=HTML)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    "trouble",
    [_expire, _pack, lambda _: None, _cut, _html],
    ids=["token expiry", "gzip encoding", "gzip file", "cut in quotes", "HTML"],
)
def test_trouble_on_the_way_changes_nothing(
    tenant: Tenant, loader: Loader, trouble: Callable[[ZuoraRevenue], None]
) -> None:
    """Newlines, commas and quotes within fields are in the data of all of these."""
    assert any("\n" in value for row in tenant.vendor.views[LINES].rows for value in row)
    trouble(tenant.vendor)

    loader.load(tenant.sync(LINES))

    assert tenant.in_order(loader.rows(LINES)) == tenant.in_order(tenant.expected(LINES))


@pytest.mark.parametrize("mode", ["overwrite", "upsert"])
def test_the_latest_row_of_a_key_wins(tenant: Tenant, loader: Loader, mode: str) -> None:
    """The same key can come more than once, in any order, on one page or on several."""
    view = tenant.vendor.views[HOLDS]
    view.rows = [
        [key, "1", f"{key} {stamp}", "202401", f"{stamp}-01-01T00:00:00"]
        for key, stamp in [("a", 2021), ("b", 2024), ("a", 2023), ("c", 2022), ("b", 2022),
                           ("c", 2024), ("a", 2022)]
    ]  # fmt: skip
    entry = {"replication_method": "INCREMENTAL", "replication_key": "INCR_UPDT_DT"}

    result = tenant.sync(
        HOLDS, page_size=2, batch_file_pages=1, entry=entry if mode == "upsert" else {}
    )
    loader.load(result)

    found = {row["RC_HOLD_ID"]: row["RC_HOLD_COMMENT"] for row in loader.rows(HOLDS)}
    assert found == {"a": "a 2023", "b": "b 2024", "c": "c 2024"}


def test_a_second_run_replaces_the_table(tenant: Tenant, loader: Loader) -> None:
    """Rows that are gone at the source go; a new column comes; a view without rows is emptied."""
    state = loader.load(tenant.sync(LINES, HOLDS))
    view = tenant.vendor.views[LINES]
    del view.rows[5:25]
    view.header.insert(2, "ADDED")
    for row in view.rows:
        row.insert(2, "new")
    tenant.vendor.views[HOLDS].rows.clear()

    loader.load(tenant.sync(LINES, HOLDS, state=state))

    rows = loader.rows(LINES)
    assert list(rows[0]) == [*(name for name in view.header if name != "ADDED"), "ADDED"]
    by_name = [dict(sorted(row.items())) for row in rows]
    expected = [dict(sorted(row.items())) for row in tenant.expected(LINES)]
    assert tenant.in_order(by_name) == tenant.in_order(expected)
    assert loader.rows(HOLDS) == []


def test_increments_are_merged(tenant: Tenant, loader: Loader) -> None:
    entry = {"replication_method": "INCREMENTAL", "replication_key": "INCR_UPDT_DT"}
    settings = {"entry": entry, "overlap_hours": 24}
    state = loader.load(tenant.sync(LINES, end_date="2024-06-01", **settings))
    view = tenant.vendor.views[LINES]
    view.rows[3][3], view.rows[3][-1] = "changed", "2024-05-31T12:00:00"

    loader.load(tenant.sync(LINES, end_date="2030-01-01", state=state, **settings))

    assert tenant.in_order(loader.rows(LINES)) == tenant.in_order(tenant.expected(LINES))


def test_a_view_that_is_not_whole_leaves_the_old_table(tenant: Tenant, loader: Loader) -> None:
    """And the run that goes on reads only what is missing."""
    loader.load(tenant.sync(LINES))
    old = tenant.expected(LINES)
    for row in tenant.vendor.views[LINES].rows:
        row[3] = "another customer"
    whole = tenant.sync(LINES)
    third_state = [n for n, m in enumerate(whole.messages) if m["type"] == "STATE"][1]

    with pytest.raises(LoadError, match="before the tap said"):
        loader.load(SyncResult(whole.messages[: third_state + 1]))

    assert tenant.in_order(loader.rows(LINES)) == tenant.in_order(old)
    tenant.vendor.requests.clear()
    loader.load(tenant.sync(LINES, state=loader.state))
    assert tenant.pages(LINES) == ["3", "4", "5"]
    assert tenant.in_order(loader.rows(LINES)) == tenant.in_order(tenant.expected(LINES))


def start(tenant: Tenant, state: dict[str, Any], **settings: Any) -> subprocess.Popen[bytes]:
    """The tap as a process, for the lines view."""
    files = {
        "config": tenant.config(**settings),
        "catalog": tenant.catalog(LINES),
        "state": state,
    }
    command = [str(BIN / "tap-zuora-revenue")]
    for name, content in files.items():
        path = tenant.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        command += [f"--{name}", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def read_states(tap: subprocess.Popen[bytes], count: int) -> list[bytes]:
    """Read what the tap sends, until it has sent so many states."""
    assert tap.stdout
    lines: list[bytes] = []
    for line in tap.stdout:
        lines.append(line)
        count -= b'"type":"STATE"' in line
        if not count:
            break
    return lines


def test_a_tap_killed_in_mid_view_goes_on(tenant: Tenant, loader: Loader) -> None:
    """As processes: killed with -9, with its task alive; no page that was committed comes again."""
    tenant.vendor.page_seconds, tenant.vendor.hold_seconds = 0.1, 60.0
    tap = start(tenant, {}, page_size=2)
    lines = read_states(tap, 4)
    tap.kill()
    tap.communicate()
    with pytest.raises(LoadError, match="before the tap said"):
        loader.load(SyncResult([json.loads(line) for line in lines]))
    progress = loader.state["bookmarks"][LINES]["progress"]
    assert progress["pages"] >= 4
    tenant.vendor.requests.clear()

    second = start(tenant, loader.state, page_size=2)
    output, log = second.communicate(timeout=60)
    assert second.returncode == 0, log
    loader.load(SyncResult([json.loads(line) for line in output.splitlines()]))

    assert tenant.pages(LINES)[0] == str(progress["pages"] + 1)
    assert len(tenant.vendor.tasks) == 1
    assert tenant.in_order(loader.rows(LINES)) == tenant.in_order(tenant.expected(LINES))


@pytest.mark.parametrize(
    ("has_token", "is_logged_in"), [(True, True), (False, True), (True, False)]
)
def test_sigterm_cancels_our_task(tenant: Tenant, *, has_token: bool, is_logged_in: bool) -> None:
    """Even while it waits for an answer, does not know its task yet, or must log in once more."""
    tenant.vendor.page_seconds, tenant.vendor.hold_seconds = 600.0, 600.0
    if has_token:
        tenant.vendor.page_seconds = 0.0
        plain = tenant.vendor.page_body

        def body(task: Any, number: int) -> bytes:
            task.page_seconds = 600.0
            return plain(task, number)

        tenant.vendor.page_body = body
    tap = start(tenant, {}, end_date="2030-01-01", batch_file_pages=1)
    assert tap.stdout
    assert tap.stderr
    if has_token:
        read_states(tap, 2)
    else:
        while not tenant.vendor.tasks:
            assert tap.poll() is None
            os.sched_yield()
    if not is_logged_in:
        tenant.vendor.expire_tokens()

    tap.send_signal(signal.SIGTERM)
    _, log = tap.communicate(timeout=30)

    assert tap.returncode == 128 + signal.SIGTERM, log
    assert [task.status for task in tenant.vendor.tasks] == ["CANCELLED"]


def test_the_archive_and_the_table_are_the_same(tenant: Tenant, loader: Loader) -> None:
    root = tenant.folder / "archive"
    loader.load(tenant.sync(LINES, archive_root=str(root)))

    kept = b"".join(gzip.decompress(path.read_bytes()) for path in sorted(root.rglob("*.gz")))
    assert all(row["ID"].encode() in kept for row in loader.rows(LINES))

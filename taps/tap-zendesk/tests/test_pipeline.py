"""tap-zendesk into target-snowflake, as processes: every value, and what a bad field does."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.vendors.zendesk_records import metric_set
from tap_zendesk.stream import SCHEMAS

if TYPE_CHECKING:
    from conftest import Source
    from sandbox.testing import Warehouse

BIN = Path(sys.executable).parent


def run(
    source: Source, warehouse: Warehouse, folder: Path, state: dict[str, Any] | None, **more: Any
) -> tuple[int, dict[str, Any], str]:
    """Tap into loader; the loader's exit code, the state it printed and its log."""
    files = {"tap": source.config(rate_limit_share=1.0, **more), "target": warehouse.config}
    files |= {"state": state} if state else {}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    command = [BIN / "tap-zendesk", "--config", folder / "tap.json"]
    command += ["--state", folder / "state.json"] if state else []
    with (folder / "tap.log").open("wb") as log:
        tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        done = subprocess.run(
            [BIN / "tributary-target-snowflake", "--config", folder / "target.json"],
            stdin=tap.stdout,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert tap.stdout
        tap.stdout.close()
        assert tap.wait(60) == 0 or done.returncode, (folder / "tap.log").read_text()[-2000:]
    lines = done.stdout.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr.decode()


def expected(source: Source, deleted: dict[int, dict[str, Any]]) -> dict[str, list[Any]]:
    """What the account holds, by stream; with what was loaded of tickets before they went."""
    account = source.tenant.account
    tickets = [account.ticket(number) for number in account.ticket_ids]
    audits = [audit for ticket in tickets for audit in account.audits(ticket["id"])]
    measured = [deleted.get(ticket["id"], ticket) for ticket in tickets]
    names = ("via", "metadata", "created_at", "ticket_id")
    return {
        "tickets": tickets,
        "users": list(account.users.values()),
        "organizations": list(account.organizations.values()),
        "ticket_audits": audits,
        "ticket_comments": [
            {**event, **{name: audit[name] for name in names}}
            for audit in audits
            for event in audit["events"]
            if event["type"] == "Comment"
        ],
        "ticket_metrics": [metric_set(ticket, account.url) for ticket in measured],
        "ticket_metric_events": [event for _, event in account.metric_events()],
        **{name: rows for name, rows in account.lists.items() if name != "phone_numbers"},
    }


def as_loaded(value: Any, definition: dict[str, Any]) -> Any:
    """A value as the warehouse's client returns it; VARIANT as the object it is."""
    if value is not None and definition.get("format") == "date-time":
        return dt.datetime.fromisoformat(value)
    return value


def check(
    source: Source, warehouse: Warehouse, deleted: dict[int, dict[str, Any]] | None = None
) -> None:
    for stream, rows in expected(source, deleted or {}).items():
        columns = SCHEMAS.get_schema(stream)["properties"]
        key = "name" if stream == "tags" else "id"
        loaded = {}
        for row in warehouse.query(f"SELECT * FROM {warehouse.schema}.{stream}"):
            shown = {name.lower(): value for name, value in row.items()}
            for name, definition in columns.items():
                if {"object", "array"} & {*definition["type"]} and shown[name] is not None:
                    shown[name] = json.loads(shown[name])
            loaded[shown[key]] = shown
        assert len(loaded) == len(rows), stream
        for row in rows:
            wanted = {name: as_loaded(row.get(name), d) for name, d in columns.items()}
            assert loaded[row[key]] == wanted, stream


def test_every_value_reaches_the_warehouse(
    source: Source, warehouse: Warehouse, tmp_path: Path
) -> None:
    """After a history, and after changes, deletions and a merge as well."""
    begin = time.time() - 10_000
    source.zendesk.now = lambda: begin
    code, state, log = run(source, warehouse, tmp_path, None)
    assert code == 0, log[-2000:]
    check(source, warehouse)

    account = source.tenant.account
    before = account.ticket(4)
    account.update(2, subject="Changed")
    account.merge(5, 6)
    account.create(subject="New")
    account.change_by_system(7)
    account.scrub(4)
    source.zendesk.now = lambda: begin + 400
    code, _, log = run(source, warehouse, tmp_path, state)

    assert code == 0, log[-2000:]
    check(source, warehouse, {4: before})
    (row,) = warehouse.query(f"SELECT status, subject FROM {warehouse.schema}.tickets WHERE id = 4")
    assert row == {"STATUS": "deleted", "SUBJECT": "SCRUBBED"}


def test_a_field_of_another_type_is_named_by_the_loader(
    source: Source, warehouse: Warehouse, tmp_path: Path
) -> None:
    source.tenant.account.lists["groups"][0]["default"] = "perhaps"

    code, _, log = run(source, warehouse, tmp_path, None)

    assert code != 0
    assert "groups" in log
    assert "default" in log

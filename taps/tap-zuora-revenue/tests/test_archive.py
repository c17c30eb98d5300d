"""The archive of raw pages: what is kept, and that it is whole."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Tenant

LINES = "BI3_RC_LNS"


def test_every_page_is_kept_as_it_was_received(tenant: Tenant, tmp_path: Path) -> None:
    result = tenant.sync(LINES, "BI3_BOOK", archive_root=f"file://{tmp_path}/archive/")

    version = result.of_type("ACTIVATE_VERSION")[0]["version"]
    folder = tmp_path / "archive" / LINES / str(version)
    manifest = json.loads((folder / "manifest-window-001-page-00001.json").read_text())
    assert [entry["rows"] for entry in manifest["pages"]] == [10] * 4
    assert manifest["rows"] == 40
    (task,) = tenant.vendor.tasks
    for number, entry in enumerate(manifest["pages"], start=1):
        kept = (folder / entry["file"]).read_bytes()
        assert gzip.decompress(kept) == tenant.vendor.page_body(task, number)
        assert hashlib.sha256(kept).hexdigest() == entry["sha256"]
        assert (entry["bytes"], entry["task_id"]) == (len(kept), task.id)
    assert len(list(folder.iterdir())) == 5
    assert [path.name for path in (tmp_path / "archive").iterdir()] == [LINES]


def test_a_resumed_run_keeps_the_rest_beside(tenant: Tenant, tmp_path: Path) -> None:
    """Together the manifests list each page once."""
    root = f"{tmp_path}/archive"
    first = tenant.sync(LINES, archive_root=root)
    state = first.of_type("STATE")[1]["value"]

    tenant.sync(LINES, archive_root=root, state=state)

    names = sorted(path.name for path in (tmp_path / "archive").rglob("manifest*"))
    assert names == ["manifest-window-001-page-00001.json", "manifest-window-001-page-00003.json"]


def test_an_archive_that_cannot_be_written_fails_the_view(tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    _, said = tenant.fail(LINES, archive_root=f"{tmp_path}/file")

    assert "to the archive failed" in said
    assert "Check archive_root" in said


def test_nothing_is_kept_by_default(tenant: Tenant, tmp_path: Path) -> None:
    tenant.sync(LINES)

    assert [path.name for path in tmp_path.iterdir()] == ["batches"]

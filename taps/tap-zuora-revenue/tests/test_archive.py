"""The archive of raw pages: what is kept, and that it is whole."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import TYPE_CHECKING

import fsspec
import gcsfs
import pytest

from sandbox.vendors.server import serve
from sandbox.vendors.zuora_revenue_storage import BUCKET, GoogleStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Tenant

LINES = "BI3_RC_LNS"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleStorage]:
    """Google Cloud Storage, which fsspec finds by the usual variable; nobody has to log in."""
    vendor = GoogleStorage()
    with serve(vendor) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
        gcsfs.GCSFileSystem.clear_instance_cache()
        yield vendor


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


def test_a_bucket_of_googles_gets_every_page(tenant: Tenant, bucket: GoogleStorage) -> None:
    """Through a socket, by what `gs://` means to fsspec."""
    result = tenant.sync(LINES, archive_root=f"gs://{BUCKET}/zuora_revenue/")

    version = result.of_type("ACTIVATE_VERSION")[0]["version"]
    folder = f"zuora_revenue/{LINES}/{version}"
    manifest = json.loads(bucket.objects[f"{folder}/manifest-window-001-page-00001.json"])
    kept = [bucket.objects[f"{folder}/{entry['file']}"] for entry in manifest["pages"]]
    (task,) = tenant.vendor.tasks
    assert [gzip.decompress(body) for body in kept] == [
        tenant.vendor.page_body(task, number) for number in (1, 2, 3, 4)
    ]
    assert [hashlib.sha256(body).hexdigest() for body in kept] == [
        entry["sha256"] for entry in manifest["pages"]
    ]
    assert len(bucket.objects) == 5


@pytest.mark.parametrize(
    ("fault", "root"),
    [
        ({"status": 401, "body": '{"error": {"code": 401, "message": "secret"}}'}, BUCKET),
        ({"status": 403, "body": '{"error": {"code": 403, "message": "secret"}}'}, BUCKET),
        ({"status": 400, "body": "secret"}, BUCKET),
        ({}, "no-such-bucket"),
    ],
)
def test_a_bucket_that_refuses_fails_the_view(
    tenant: Tenant, bucket: GoogleStorage, fault: dict[str, object], root: str
) -> None:
    """In a sentence of ours, and this view alone."""
    if fault:
        bucket.faults.add(path="upload", times=99, **fault)

    result, said = tenant.fail(LINES, "BI3_BOOK", archive_root=f"gs://{root}/zuora")

    assert f"{LINES}: writing window-001-page-00001.csv.gz to the archive failed" in said
    assert "Check archive_root" in said
    assert "secret" not in said
    assert result.of_type("BATCH") == []

"""The archive of raw pages: every page as it was received, beside a manifest."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import fsspec

from tap_zuora_revenue.csv_pages import GZIP_MAGIC
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from tap_zuora_revenue.csv_pages import Page
    from tap_zuora_revenue.progress import Progress

# Else gcsfs asks a service beside for the kind of the bucket, waits up to a minute for its answer,
# and does so for each page where it gets none. What is written here is the same for all kinds.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


@dataclass(frozen=True)
class Entry:
    """One page of the manifest."""

    file: str
    window: tuple[str, str]
    task_id: str | None
    page: int
    rows: int
    bytes: int
    sha256: str


class Archive:
    """Keeps one view's pages below `<root>/<view>/<version>/`.

    `manifest-<first file>.json` lists what one run has kept there; a run that resumes begins
    another one. It is written anew with every group of pages, before the state that covers them.
    """

    def __init__(self, root: str, view: str, progress: Progress) -> None:
        self._folder = f"{root.rstrip('/')}/{view}/{progress.version}"
        self._view = view
        self._entries: list[Entry] = []

    def keep(self, page: Page, progress: Progress) -> None:
        """Write a page.

        Raises:
            TapError: the storage does not take it.
        """
        ending = "csv.gz" if page.body.startswith(GZIP_MAGIC) else "csv"
        name = f"window-{progress.index + 1:03d}-page-{page.number:05d}.{ending}"
        self._write(name, page.body)
        window = progress.windows[progress.index]
        self._entries.append(
            Entry(
                file=name,
                window=(window.start, window.end),
                task_id=progress.task_id,
                page=page.number,
                rows=page.rows.num_rows,
                bytes=len(page.body),
                sha256=hashlib.sha256(page.body).hexdigest(),
            )
        )

    def write_manifest(self) -> None:
        """Write the list of all pages kept.

        Raises:
            TapError: the storage does not take it.
        """
        if not self._entries:
            return
        content = {
            "view": self._view,
            "rows": sum(entry.rows for entry in self._entries),
            "pages": [asdict(entry) for entry in self._entries],
        }
        first = self._entries[0].file.partition(".")[0]
        self._write(f"manifest-{first}.json", json.dumps(content, indent=1).encode())

    def _write(self, name: str, content: bytes) -> None:
        try:
            with fsspec.open(f"{self._folder}/{name}", "wb", auto_mkdir=True) as file:
                file.write(content)
        except Exception as error:  # each storage has errors of its own, of no common kind
            raise TapError(
                f"{self._view}: writing {name} to the archive failed ({type(error).__name__}). "
                "Check archive_root and that this program may write there."
            ) from error

"""Sending one view: SCHEMA, markers, groups of pages, and the state that each group reaches."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from singer_sdk.singerlib.messages import SchemaMessage

from tap_zuora_revenue.views import REPLICATION_KEY
from tapsupport.errors import TapError
from tapsupport.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zuora_revenue.archive import Archive
    from tap_zuora_revenue.csv_pages import Page
    from tap_zuora_revenue.lanes import Lane
    from tap_zuora_revenue.progress import Progress
    from tap_zuora_revenue.streams import BiView

    # A page, and the progress that is made once it was sent.
    Item = tuple[Page, Progress]
    Pages = Iterator[Item]

logger = logging.getLogger(__name__)

# Moments that are ordered as their text is; those of other formats cannot be compared.
SORTABLE_MOMENT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d"


class Sending:
    """Sends one view in one run, perhaps begun anew in between.

    Attributes:
        columns: Names of the file's columns, in its order.
        says_resumes: Whether the loader was told that it goes on with an earlier run's snapshot.
    """

    def __init__(
        self, stream: BiView, lane: Lane, pages_per_file: int, save: Callable[[Progress], None]
    ) -> None:
        self.columns: tuple[str, ...] = ()
        self.says_resumes = False
        self._stream = stream
        self._lane = lane
        self._pages_per_file = pages_per_file
        self._save = save
        self._hints: dict[str, Any] | None = None
        self._keys: list[str] = []
        self._archive: Archive | None = None

    def send(self, progress: Progress, pages: Pages, archive: Archive | None) -> None:
        """Send all pages; a view without any sends nothing, unless an earlier run has sent some.

        Raises:
            TapError: the pages cannot be read, or increments cannot be told apart.
        """
        self._archive, self.columns = archive, progress.columns
        item = next(pages, None)
        if item is None and not self.columns:
            return
        self._send_schema(item[0] if item else None, resumes=progress.has_sent_rows)
        with self._markers(progress):
            if item:
                page, reached = item
                rows = reached.rows - page.rows.num_rows
                before = replace(reached, pages=reached.pages - 1, rows=rows)
                self._save(replace(before, columns=progress.columns))
            while item:
                item = self._send_group(item, pages)

    def send_sample(self, pages: Pages, limit: int) -> None:
        """Send some rows of the first page, for a dry run."""
        item = next(pages, None)
        if item:
            self._send_schema(item[0], resumes=False)
            schema = self._arrow_schema()
            with self._lane.group(schema, None) as write:
                write(_aligned(item[0].rows.slice(0, limit), schema, self._keys))

    def send_empty(self, progress: Progress, columns: tuple[str, ...]) -> None:
        """Replace the rows that an earlier run has loaded by none."""
        self.columns = columns
        self._send_schema(None, resumes=False)
        with self._markers(progress):
            pass

    def _send_group(self, item: Item, pages: Pages) -> Item | None:
        """Send pages of one schema, as many as a file may hold; return the page behind them."""
        if not self._fits(item[0]):
            self._send_schema(item[0], resumes=False)
        schema = self._arrow_schema()
        version = item[1].version if item[1].full else None
        following: Item | None = item
        left = self._pages_per_file
        with self._lane.group(schema, version) as write:
            while following and self._fits(following[0]):
                page, reached = following
                if self._archive:
                    self._archive.keep(page, reached)
                write(_aligned(page.rows, schema, self._keys))
                left -= 1
                following = next(pages, None) if left else None
        if self._archive:
            self._archive.write_manifest()
        self._save(replace(reached, columns=self.columns))
        return following or next(pages, None)

    def _fits(self, page: Page) -> bool:
        return set(page.header) <= set(self.columns)

    def _send_schema(self, page: Page | None, *, resumes: bool) -> None:
        """Send SCHEMA, with the columns of the page's file behind those that are known."""
        header = page.header if page else ()
        self.columns += tuple(name for name in header if name not in self.columns)
        if self._hints is None:
            self._keys = self._usable_keys()
            self._hints = self._make_hints(page, resumes=resumes)
        described = self._stream.schema["properties"]
        text = {"type": ["string", "null"], "description": "Text, as the file has it."}
        properties = {name: described.get(name, text) for name in self._selected()}
        for key in self._keys:
            properties[key] = {**properties[key], "type": "string"}
        message = SchemaMessage(
            self._stream.name,
            {"type": "object", "properties": properties, **self._hints},
            self._keys,
        )
        self._stream.write_message(message)

    def _make_hints(self, page: Page | None, *, resumes: bool) -> dict[str, Any]:
        """Keywords for the loader, which must stay the same in a run."""
        self.says_resumes = resumes and self._stream.reads_everything
        method = "overwrite" if self._stream.reads_everything else "upsert"
        hints: dict[str, Any] = {"x-load-method": method}
        if page and self._keys and _is_sortable(page.rows):
            hints["x-order-column"] = REPLICATION_KEY
        if self.says_resumes:
            hints["x-resumes"] = True
        return hints

    def _usable_keys(self) -> list[str]:
        """The key, unless the file lacks a part of it.

        Raises:
            TapError: there is none, but increments need one.
        """
        keys = list(self._stream.primary_keys)
        if missing := [key for key in keys if key not in self.columns]:
            logger.warning("%s has no column %s, so no key.", self._stream.name, missing[0])
            keys = []
        if not keys and not self._stream.reads_everything:
            raise TapError(
                f"{self._stream.name} has no key, so increments would repeat its rows. Give it "
                "table-key-properties in the catalog, or let it be FULL_TABLE."
            )
        return keys

    def _selected(self) -> list[str]:
        mask = self._stream.mask
        return [
            name
            for name in self.columns
            if name in self._keys or mask.get(("properties", name), True)
        ]

    def _arrow_schema(self) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in self._selected()])

    def _markers(self, progress: Progress) -> AbstractContextManager[None]:
        return snapshot(self._stream, progress.version) if progress.full else nullcontext()


def _aligned(rows: pa.Table, schema: pa.Schema, keys: list[str]) -> pa.Table:
    """The rows with the schema's columns; a key is empty text where the file has nothing."""
    arrays = [
        rows[name] if name in rows.column_names else pa.nulls(rows.num_rows, pa.string())
        for name in schema.names
    ]
    filled = [
        pc.fill_null(array, "") if name in keys else array
        for name, array in zip(schema.names, arrays, strict=True)
    ]
    return pa.table(filled, schema=schema)


def _is_sortable(rows: pa.Table) -> bool:
    """Whether the update stamps of a page can be compared as text."""
    if REPLICATION_KEY not in rows.column_names:
        return False
    matches = pc.match_substring_regex(rows[REPLICATION_KEY], SORTABLE_MOMENT)
    return bool(pc.all(matches, skip_nulls=True).as_py())

"""The sheets, and the methods that are called once for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_adaptive.csv_output import CsvOutput
from tap_adaptive.documents import element
from tap_adaptive.errors import RefusedError
from tap_adaptive.method_stream import MethodStream
from tap_adaptive.records import row_id
from tap_adaptive.rows import Row, Shape, as_object, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.helpers.types import Context, Record

    from tap_adaptive.client import Client

METHOD = "exportSheets"
SUFFIX = "-sheet"
TYPES = ("standard", "cube", "modeled")
SHAPE = Shape(containers=("sheets",), rows=tuple(f"{kind}{SUFFIX}" for kind in TYPES))


@dataclass(frozen=True)
class Sheet:
    """A sheet; its type is the tag's name: standard, cube or modeled."""

    id: int
    name: str
    type: str


def list_sheets(client: Client) -> list[Sheet]:
    """Call exportSheets."""
    with client.call(METHOD) as answer:
        return [
            Sheet(row_id(METHOD, row.element), row.element.get("name", ""), sheet_type(row))
            for row in read_rows(answer, SHAPE)
        ]


def sheet_type(row: Row) -> str:
    """The type of the sheet in a row, from its tag."""
    return str(row.element.tag).removesuffix(SUFFIX)


class Sheets(MethodStream):
    """The sheets, unfinished ones and those assigned to users too."""

    name = "sheets"
    method = METHOD
    shape = SHAPE
    primary_keys = ("id",)

    @override
    def complete(self, record: dict[str, Any], row: Row) -> dict[str, Any]:
        return {**record, "sheet_type": sheet_type(row)}


class SheetDefinitions(MethodStream):
    """The definitions of modeled and cube sheets, one call each."""

    name = "sheet_definitions"
    method = "exportSheetDefinition"
    primary_keys = ("sheet_id",)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        for sheet in list_sheets(self._tap.client):
            if sheet.type == "standard":
                continue
            body = element("modeled-sheet", id=str(sheet.id))  # for cube sheets too
            with self._tap.client.call(self.method, body) as answer:
                output = answer.output()
                yield {
                    "sheet_id": sheet.id,
                    "sheet_name": sheet.name,
                    "sheet_type": sheet.type,
                    "definition": None if output is None else as_object(output),
                }


class ModeledSheets(MethodStream):
    """The models of modeled sheets, one call each."""

    name = "modeled_sheets"
    method = "exportModeledSheet"
    primary_keys = ("sheet_id",)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        for sheet in _modeled(self._tap.client):
            body = element("exportModel", sheetToExport=sheet.name)
            with self._tap.client.call(self.method, body) as answer:
                output = answer.output()
                model = None if output is None else as_object(output)
                yield {"sheet_id": sheet.id, "sheet_name": sheet.name, "model": model}


class ModeledSheetRows(MethodStream):
    """The data of modeled sheets in one version, one call each.

    A row's only key is its position: nothing in it need be unique.
    """

    name = "modeled_sheet_rows"
    method = "exportConfigurableModelData"
    primary_keys = ("version_name", "sheet_name", "row_number")

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        version = self._tap.version_name
        for sheet in _modeled(self._tap.client):
            try:
                yield from self._rows(version, sheet, is_global="false")
            except RefusedError as error:
                # An assumption sheet is asked for in another way, and no list tells which is one.
                self.logger.info("%s Trying it as an assumption sheet.", error)
                yield from self._rows(version, sheet, is_global="true")

    def _rows(self, version: str, sheet: Sheet, *, is_global: str) -> Iterator[Record]:
        body = (
            element("version", name=version, isDefault="false"),
            element("modeled-sheet", name=sheet.name, isGlobal=is_global, includeAllColumns="true",
              isGetAllRows="true"),
        )  # fmt: skip
        number = 0
        with self._tap.client.call(self.method, *body) as answer:
            for batch in CsvOutput(answer).batches():
                for row in batch.to_pylist():
                    number += 1
                    yield {
                        "version_name": version,
                        "sheet_name": sheet.name,
                        "row_number": number,
                        "row": row,
                    }


def _modeled(client: Client) -> list[Sheet]:
    return [sheet for sheet in list_sheets(client) if sheet.type == "modeled"]

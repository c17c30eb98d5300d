"""The versions, and which of them are in the shared folder.

A folder is a type of version, and versions of other types have versions below them too (sheet,
section 4). So: every version below the folder, at any depth, that is no folder itself.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from typing_extensions import override

from tap_adaptive.documents import element
from tap_adaptive.method_stream import MethodStream
from tap_adaptive.rows import Row, Shape
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lxml import etree
    from singer_sdk.helpers.types import Context, Record

    from tap_adaptive.client import Client

METHOD = "exportVersions"
SHAPE = Shape(containers=("versions",), rows=("version",))
FOLDER = "VERSION_FOLDER"
POSITION = ("parent_id", "parent_name", "depth", "path")


@dataclass(frozen=True)
class SharedVersion:
    """A version in the shared folder, with its attributes but not its place in the tree."""

    id: int
    name: str
    attributes: Mapping[str, Any] = field(hash=False)


class VersionChild(Stream):
    """A stream that is read once for each version in the folder."""

    @abstractmethod
    def begin(self, shared: Mapping[int, SharedVersion]) -> None:
        """Learn all versions in the folder, before the first one is read."""

    @abstractmethod
    def wants(self, version: SharedVersion) -> bool:
        """Whether this run has to read the version."""


def body() -> list[etree._Element]:
    """The elements of exportVersions after `<credentials>`: every version."""
    return [element("include", rootActuals="true", scenarios="true", currencyVersions="false")]


class Versions(MethodStream):
    """The versions, a hierarchy; the parent of reports."""

    name = "versions"
    method = METHOD
    shape = SHAPE
    primary_keys = ("id",)

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the SDK's keywords, passed on
        super().__init__(**kwargs)
        self._shared: dict[int, SharedVersion] = {}

    @override
    def body(self) -> list[etree._Element]:
        return body()

    @override
    def complete(self, record: dict[str, Any], row: Row) -> dict[str, Any]:
        if record["type"] != FOLDER and any(self._is_shared(element) for element in row.above):
            attributes = {name: value for name, value in record.items() if name not in POSITION}
            self._shared[record["id"]] = SharedVersion(record["id"], record["name"], attributes)
        return record

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        """All versions at once: a child must know all of them before it reads the first."""
        self._shared.clear()
        records = list(super().get_records(context))
        folder = self.config["versions_folder"]
        is_there = any(r["type"] == FOLDER and r["name"] == folder for r in records)
        if self._children and not is_there:
            raise TapError(
                f"exportVersions shows no folder named {folder!r}. Correct the setting "
                "versions_folder, or let the API user see that folder."
            )
        for child in self._children:
            child.begin(self._shared)
        yield from records

    @override
    def generate_child_contexts(
        self, record: Record, context: Context | None
    ) -> Iterable[Context | None]:
        version = self._shared.get(record["id"])
        if version and any(child.wants(version) for child in self._children):
            yield {"version_id": version.id}

    @property
    def _children(self) -> list[VersionChild]:
        """Those that are selected."""
        found = [child for child in self.child_streams if isinstance(child, VersionChild)]
        return [child for child in found if child.selected]

    def _is_shared(self, element: etree._Element) -> bool:
        is_folder = element.get("type") == FOLDER
        return is_folder and element.get("name") == self.config["versions_folder"]


def default_version(client: Client) -> str:
    """Call exportVersions for the name of the instance's default version.

    Raises:
        TapError: the API user does not see it.
    """
    with client.call(METHOD, *body()) as answer:
        for event, element in answer.events():
            is_version = event == "start" and element.tag == "version"
            if is_version and element.get("isDefaultVersion") in ("true", "1"):
                return element.get("name", "")
    raise TapError(
        "exportVersions shows no default version. Name one in the setting version_name, or let "
        "the API user see it."
    )

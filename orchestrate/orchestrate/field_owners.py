"""Who has set which field of an object: server-side apply, for the API server of tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Document = dict[str, Any]
    Path = tuple[str, ...]


@dataclass
class FieldOwners:
    """The fields of one object, by manager, with the values that each has given them."""

    fields: dict[str, dict[Path, Any]] = field(default_factory=dict)

    def apply(
        self, manager: str, live: Document, wanted: Document, *, force: bool
    ) -> list[tuple[str, str]]:
        """Change `live` to what a manager wants, which is all that this manager wants.

        Returns:
            Other managers and fields that they have given other values; then nothing is changed.
        """
        mine = dict(_leaves(wanted))
        conflicts = [
            (other, path)
            for other, owned in self.fields.items()
            for path, value in owned.items()
            if other != manager and path in mine and mine[path] != value
        ]
        if conflicts and not force:
            return [(other, ".".join(path)) for other, path in conflicts]
        for other, path in conflicts:
            del self.fields[other][path]
        for path in set(self.fields.get(manager, {})) - set(mine):
            _remove(live, path)
        for path, value in mine.items():
            _set(live, path, value)
        self.fields[manager] = mine
        live["metadata"]["managedFields"] = [{"manager": name} for name in self.fields]
        return []

    def merge(self, manager: str, live: Document, change: Document) -> None:
        """Change some fields of `live`, which are this manager's from now on."""
        for path, value in _leaves(change):
            _set(live, path, value)
            for owned in self.fields.values():
                owned.pop(path, None)
        self.fields.setdefault(f"{manager} (Update)", {}).update(_leaves(change))


def _leaves(document: Document, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in document.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _set(document: Document, path: Path, value: object) -> None:
    for name in path[:-1]:
        document = document.setdefault(name, {})
    document[path[-1]] = value


def _remove(document: Document, path: Path) -> None:
    for name in path[:-1]:
        document = document.get(name, {})
    document.pop(path[-1], None)

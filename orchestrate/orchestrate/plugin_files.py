"""The plugins of the project and their environment variables, read from the Meltano files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrate import yaml_source
from orchestrate.errors import OrchestrateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrate.yaml_source import Key, YamlSource

KINDS = ("extractors", "loaders", "mappers", "utilities")
REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


@dataclass(frozen=True)
class Place:
    """Where something stands in a Meltano file."""

    source: YamlSource
    keys: tuple[Key, ...]

    def line(self, *below: Key) -> int:
        return self.source.line(*self.keys, *below)

    def value(self, *below: Key) -> object:
        """What the file says there."""
        found: Any = self.source.content
        for key in (*self.keys, *below):
            found = found[key]
        return found


@dataclass(frozen=True)
class Plugin:
    """A plugin with what it inherits.

    Attributes:
        parent: The plugin that it inherits from.
        definition: Its own mapping in the file.
    """

    name: str
    kind: str
    definition: dict[str, Any]
    place: Place
    parent: Plugin | None

    @property
    def lineage(self) -> list[Plugin]:
        """The plugin, its parent, and so on."""
        return [self, *(self.parent.lineage if self.parent else [])]

    def holder(self, key: str) -> Plugin | None:
        """The nearest of the lineage that says something under this key."""
        return next((plugin for plugin in self.lineage if key in plugin.definition), None)

    @property
    def load_schema(self) -> str | None:
        """Schema in the warehouse that it loads."""
        holder = self.holder("load_schema")
        return str(holder.definition["load_schema"]) if holder else None

    @property
    def config(self) -> dict[str, Any]:
        """Settings that the files give values to."""
        config: dict[str, Any] = {}
        for plugin in reversed(self.lineage):
            config |= plugin.definition.get("config") or {}
        return config

    def settings(self) -> list[tuple[str, list[str], bool]]:
        """Its settings: the name, the environment variables it comes from, whether it is secret."""
        return [
            (
                setting["name"],
                _variables_of(setting, plugin.name, self.config),
                bool(setting.get("sensitive")) or setting.get("kind") == "password",
            )
            for plugin in reversed(self.lineage)
            for setting in plugin.definition.get("settings") or []
        ]

    def variables(self) -> dict[str, bool]:
        """Environment variables that its settings come from, and whether each is a secret."""
        found: dict[str, bool] = {}
        for _, variables, secret in self.settings():
            for variable in variables:
                found[variable] = found.get(variable, False) or secret
        return found

    @cached_property
    def secret_variables(self) -> list[str]:
        """Names of the variables that are secret, sorted."""
        return sorted(name for name, secret in self.variables().items() if secret)

    @cached_property
    def owner(self) -> Plugin:
        """Whose Secret it reads: its own, or its eldest ancestor's with the same variables."""
        same = [p for p in self.lineage if p.secret_variables == self.secret_variables]
        return same[-1]


@dataclass(frozen=True)
class PluginFiles:
    """All Meltano files of a project together.

    Attributes:
        plugins: By name.
        schedules: Where each schedule stands, by name.
    """

    plugins: dict[str, Plugin] = field(default_factory=dict)
    schedules: dict[str, Place] = field(default_factory=dict)

    @cached_property
    def secret_variables(self) -> set[str]:
        """Every secret variable of every plugin, and of the databases in their annotations."""
        found = {name for plugin in self.plugins.values() for name in plugin.secret_variables}
        for plugin in self.plugins.values():
            value: object = plugin.definition
            for key in ("annotations", "kubernetes", "database", "secret_variables"):
                value = value.get(key) if isinstance(value, dict) else None
            found |= set(map(str, value)) if isinstance(value, list) else set()
        return found

    @cached_property
    def mappers(self) -> dict[str, Plugin]:
        """The mappers by the names of their mappings, by which tasks call them."""
        return {
            str(mapping["name"]): plugin
            for plugin in self.plugins.values()
            for mapping in plugin.definition.get("mappings") or []
        }

    def called(self, word: str) -> Plugin | None:
        """The plugin that a word of a task calls: by its name, or by that of a mapping."""
        return self.plugins.get(word) or self.mappers.get(word)


def read(project: Path) -> PluginFiles:
    """Read `meltano.yml` and the files that it includes.

    Raises:
        OrchestrateError: There is no project, or a plugin inherits from one that is not there.
    """
    if not (project / "meltano.yml").exists():
        raise OrchestrateError(f"{project} holds no meltano.yml. Run this in the Meltano project.")
    sources = list(_sources(project))
    definitions = {
        str(definition["name"]): (kind, definition, Place(source, ("plugins", kind, index)))
        for source in sources
        for kind in KINDS
        for index, definition in enumerate((source.content.get("plugins") or {}).get(kind) or [])
    }
    files = PluginFiles()
    for name in definitions:
        _add(name, definitions, files.plugins)
    for source in sources:
        for index, schedule in enumerate(source.content.get("schedules") or []):
            files.schedules[str(schedule["name"])] = Place(source, ("schedules", index))
    return files


def _sources(project: Path) -> Iterator[YamlSource]:
    main = yaml_source.read(project / "meltano.yml", project)
    yield main
    for pattern in main.content.get("include_paths") or []:
        for path in sorted(project.glob(pattern)):
            yield yaml_source.read(path, project)


def _add(
    name: str,
    definitions: dict[str, tuple[str, dict[str, Any], Place]],
    plugins: dict[str, Plugin],
) -> Plugin:
    if name not in plugins:
        kind, definition, place = definitions[name]
        parent = definition.get("inherit_from")
        if parent is not None and parent not in definitions:
            raise OrchestrateError(
                f"{place.source.path}:{place.line('inherit_from')}: {name} inherits from {parent},"
                " which no file defines."
            )
        above = _add(parent, definitions, plugins) if parent else None
        plugins[name] = Plugin(name, kind, definition, place, above)
    return plugins[name]


def _variables_of(setting: dict[str, Any], plugin: str, config: dict[str, Any]) -> list[str]:
    """Those that the setting's value in the files refers to, else the one Meltano looks for."""
    value = config.get(setting["name"])
    if isinstance(value, str) and (found := REFERENCE.findall(value)):
        names = [plain or curly for plain, curly in found]
        return [name for name in names if not name.startswith("MELTANO_")]
    return [setting.get("env") or _variable(f"{plugin}_{setting['name']}")]


def _variable(text: str) -> str:
    return re.sub(r"\W", "_", text).upper()

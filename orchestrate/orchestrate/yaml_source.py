"""A YAML file, and the line on which each of its values stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from orchestrate.errors import OrchestrateError

if TYPE_CHECKING:
    from pathlib import Path

Key = str | int


@dataclass(frozen=True)
class YamlSource:
    """What a file says and where.

    Attributes:
        path: Relative to the project.
        content: The parsed file; an empty one is an empty mapping.
        root: The same as nodes, which know their lines.
    """

    path: str
    content: dict[str, Any]
    root: yaml.Node | None

    def line(self, *keys: Key) -> int:
        """The line of the value below these keys, or of the nearest one above it that exists."""
        node, line = self.root, 1
        for key in keys:
            found = _below(node, key)
            if found is None:
                break
            node, line = found
        return line


def read(path: Path, project: Path) -> YamlSource:
    """Read one file.

    Raises:
        OrchestrateError: It is no YAML, or no mapping.
    """
    text, name = path.read_text(encoding="utf-8"), str(path.relative_to(project))
    try:
        content = yaml.load(text, Loader=yaml.CSafeLoader)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise OrchestrateError(f"{name}:{line}: This is no YAML: {error.problem}.") from None
    if content is not None and not isinstance(content, dict):
        raise OrchestrateError(f"{name}:1: A Meltano file must be a mapping. Correct it.")
    return YamlSource(name, content or {}, root)


def _below(node: yaml.Node | None, key: Key) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                return value, name.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        value = node.value[key]
        return value, value.start_mark.line + 1
    return None

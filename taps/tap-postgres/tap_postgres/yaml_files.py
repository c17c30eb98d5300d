"""YAML files that hold a mapping, with everything that is wrong in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class YamlFault:
    """Something wrong in a file that can be read all the same.

    Attributes:
        place: The keys that lead there.
        text: What it is, with file and line.
    """

    place: tuple[str, ...]
    text: str


class _Loader(yaml.SafeLoader):
    """Goes on behind a key that stands twice and a value that is not of its kind.

    PyYAML keeps the last of two equal keys and says nothing, and lets Python's own errors through
    where a value looks like a date but is none.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.problems: list[tuple[yaml.Mark, str]] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the library's signature
        seen = []
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                self.problems.append((key.start_mark, f"the key {key.value} stands there twice"))
            seen.append(key.value)
        return dict(super().construct_mapping(node, deep=deep))

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - the library's signature
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            text = f"what stands there is no {kind}; put it in quotes if it is meant as text"
            self.problems.append((node.start_mark, text))
            self.recursive_objects.pop(node, None)
            self.constructed_objects[node] = node.value
            return node.value


def load_yaml(path: str) -> tuple[dict[str, Any], list[YamlFault]]:
    """Read a YAML file that holds a mapping; anything else counts as an empty one.

    Returns:
        The content, and what is wrong in it without keeping the rest from being looked at.

    Raises:
        TapError: the file cannot be read or is no YAML.
    """
    try:
        loader = _Loader(Path(path).read_text(encoding="utf-8"))
        root = loader.get_single_node()
        content = loader.construct_document(root) if root else None
    except OSError as error:
        raise TapError(f"Reading {path} failed: {error.strerror}. Correct the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise TapError(f"Reading {path} failed: {_reason(error)}. Correct the file.") from error
    faults = [
        YamlFault(tuple(_keys_to(root, mark)), f"{path}, {_place(mark)}: {text}")
        for mark, text in loader.problems
    ]
    return (content if isinstance(content, dict) else {}), faults


def read_yaml(path: str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; anything else counts as an empty one.

    Raises:
        TapError: the file cannot be read or is no YAML, or something in it is wrong.
    """
    content, faults = load_yaml(path)
    if faults:
        raise TapError(f"{'; '.join(fault.text for fault in faults)}. Correct the file.")
    return content


def _reason(error: Exception) -> str:
    """What is wrong, without the lines of the file that PyYAML would show."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{_place(error.problem_mark)}: {error.problem}"
    return " ".join(str(error).split()).rstrip(".")


def _keys_to(node: yaml.Node | None, mark: yaml.Mark) -> Iterator[str]:
    """The keys of the mappings that a place in a file is in."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.start_mark.index <= mark.index < value.end_mark.index:
            yield str(key.value)
            yield from _keys_to(value, mark)
            return


def _place(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"

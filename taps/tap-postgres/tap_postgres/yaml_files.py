"""YAML files that hold a mapping, in which no key stands twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tapsupport.errors import TapError


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the library's signature
        names = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key, _ in node.value:
            if names.count(key.value) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value} stands there twice", problem_mark=key.start_mark
                )
        return dict(super().construct_mapping(node, deep=deep))


def read_yaml(path: str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; anything else counts as an empty one.

    Raises:
        TapError: the file cannot be read or is no YAML, or a key stands twice in a mapping.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise TapError(f"Reading {path} failed: {error.strerror}. Correct the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TapError(f"Reading {path} failed: {error}. Correct the file.") from error
    return content if isinstance(content, dict) else {}

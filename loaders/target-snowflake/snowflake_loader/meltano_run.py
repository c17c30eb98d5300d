"""Which state this run goes on with, and where Meltano keeps it.

Meltano hands no state id to a loader, only the parts of it, as variables of the environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from snowflake_loader.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEME = "target-snowflake"  # of a state backend's URI: `target-snowflake://<schema>`
BACKEND_VARIABLE = "MELTANO_STATE_BACKEND_URI"
SUFFIX_VARIABLE = "MELTANO_RUN_STATE_ID_SUFFIX"
NAME_VARIABLES = ("MELTANO_ENVIRONMENT", "MELTANO_EXTRACTOR_NAME", "MELTANO_LOADER_NAME")


@dataclass(frozen=True)
class RunState:
    """The state that one run reads and writes.

    Attributes:
        state_id: Its name: `<environment>:<extractor>-to-<loader>`, and `:<suffix>` if there is
            one ("kubernetes.md", section 4).
        schema: The schema where the warehouse keeps states; None if they are kept elsewhere.
    """

    state_id: str
    schema: str | None


def run_state(config: Mapping[str, Any]) -> RunState | None:
    """Return the state of this run; None if nothing says which one it is.

    Args:
        config: the loader's; `state_id` and `state_schema` stand over what Meltano says.

    Raises:
        LoadError: Meltano's backend is this loader's, and its URI names no schema.
    """
    state_id = config.get("state_id") or _meltanos_state_id()
    schema = config.get("state_schema") or schema_of(os.environ.get(BACKEND_VARIABLE, ""))
    return RunState(state_id, schema.upper() if schema else None) if state_id else None


def schema_of(uri: str) -> str | None:
    """Return the schema of a URI of this loader's state backend; None for another backend.

    Raises:
        LoadError: it names no schema.
    """
    parsed = urlparse(uri)
    if parsed.scheme != SCHEME:
        return None
    if not parsed.netloc or parsed.path.strip("/"):
        raise LoadError(
            f"The state backend is {uri}, but it must be {SCHEME}://<schema>: the schema where the "
            f"loader's database keeps states. Correct {BACKEND_VARIABLE}."
        )
    return parsed.netloc


def _meltanos_state_id() -> str | None:
    names = [os.environ.get(name) for name in NAME_VARIABLES]
    if not all(names):
        return None
    environment, extractor, loader = names
    suffix = os.environ.get(SUFFIX_VARIABLE)
    return f"{environment}:{extractor}-to-{loader}{f':{suffix}' if suffix else ''}"

"""The type of settings that are a share, from 0 to 1."""

from __future__ import annotations

from singer_sdk import typing as th

# As text too: from an environment variable Meltano can hand on no number with a point.
SHARE = {"type": ["number", "string", "null"], "minimum": 0, "maximum": 1}
TEXT = r"(0(\.\d+)?|\.\d+|1(\.0+)?)$"
NO_ZERO = r"(?![0.]+$)"


def share(*, above_zero: bool = False) -> th.CustomType:
    """A number from 0 to 1, or its text; read it with `float`."""
    if above_zero:
        above = {"exclusiveMinimum": 0, "pattern": f"^{NO_ZERO}{TEXT}"}
        return th.CustomType({**SHARE, **above})
    return th.CustomType({**SHARE, "pattern": f"^{TEXT}"})

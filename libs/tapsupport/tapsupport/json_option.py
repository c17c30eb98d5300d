"""Files of JSON that are given on the command line; what is wrong with one is said by click."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator


class JsonFile(click.File):
    """The type of an option that names a file with one JSON object."""

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> io.StringIO:
        file = super().convert(value, param, ctx)
        with explaining(str(value), param, ctx):
            text = str(file.read())
            if not isinstance(json.loads(text), dict):
                raise TypeError("it holds something else")
        return io.StringIO(text)


@contextmanager
def explaining(
    path: str, param: click.Parameter | None, ctx: click.Context | None
) -> Iterator[None]:
    """Explain why a file of JSON cannot be read, where Python would show its own trace.

    Raises:
        click.BadParameter: whatever went wrong in the body.
    """
    try:
        yield
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise click.BadParameter(
            f"{path!r} cannot be read as a JSON object: {str(error).rstrip('.')}. Correct it, or "
            "name another file.",
            ctx,
            param,
        ) from error

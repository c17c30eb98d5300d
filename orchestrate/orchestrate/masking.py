"""Keeps secrets out of what is printed and posted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MASK = "***"
SHORTEST = 4  # a shorter value would be masked in the middle of ordinary words


class Mask:
    """Replaces the values of secret environment variables wherever they stand.

    Each line of a value of several lines is masked by itself, as is the password within a URL, and
    what any of them looks like inside a JSON text or a URL. Any other encoding of a secret, as
    base64, is not known.
    """

    def __init__(self, environment: Mapping[str, str], secret_variables: Iterable[str]) -> None:
        values = [environment[name] for name in secret_variables if name in environment]
        forms = {form for value in values for form in _forms(value)}
        self._forms = sorted(filter(_is_long_enough, forms), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, MASK)
        return text


def _forms(value: str) -> Iterable[str]:
    for part in {value, *value.replace("\\n", "\n").splitlines(), *_passwords(value)}:
        yield part
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield quote(part, safe="")
        yield quote_plus(part)


def _passwords(value: str) -> Iterable[str]:
    """The password of a value that is a URL, as it stands there and as it is meant.

    Cut out by hand, since `urlsplit` refuses some passwords that database drivers take.
    """
    login = value.partition("://")[2].rpartition("@")[0]
    if password := login.partition(":")[2]:
        yield password
        yield unquote(password)


def _is_long_enough(form: str) -> bool:
    return len(form) >= SHORTEST

"""What single answers of Zuora Revenue mean ("zuora_revenue.md", section 8)."""

from __future__ import annotations

from typing import Any

import requests

from tapsupport.http import MESSAGE_LENGTH, json_message

OK, NO_ROWS = 200, 204
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NO_SUCH_PAGE, NOT_ENABLED = 400, 401, 403, 404, 405
TOO_MANY = 429


def vendor_message(response: requests.Response) -> str:
    """The vendor's words of a refusal, which come as JSON or as plain text, of any type."""
    text = response.text.strip()
    return json_message(response) or ("" if text[:1] in "<{[" else text[:MESSAGE_LENGTH])


def is_pending(response: requests.Response) -> bool:
    """Whether a page is not ready yet, or lies behind a last page that was full."""
    return response.status_code == BAD_REQUEST and "not yet cached" in _words(response)


def is_limited(response: requests.Response) -> bool:
    """Whether too many queries run; status and text of that answer are not documented."""
    if response.status_code == TOO_MANY:
        return True
    words = _words(response)
    if response.status_code not in (BAD_REQUEST, FORBIDDEN) or "pagesize" in words:
        return False  # a page size above the tenant's limit stays so
    return "limit" in words or "quota" in words


def _words(response: requests.Response) -> str:
    words = response.text.lower().replace("page size", "pagesize")
    return words.replace("not cached", "not yet cached")


def json_of(response: requests.Response) -> Any:  # noqa: ANN401 - any JSON
    """The JSON of an answer; None where it is none, as a gateway's HTML with status 200."""
    try:
        return response.json()
    except requests.JSONDecodeError:
        return None

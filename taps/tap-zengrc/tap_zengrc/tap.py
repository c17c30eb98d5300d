"""Settings and streams of tap-zengrc."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from singer_sdk import typing as th
from typing_extensions import override

from tap_zengrc.streams import NAMES, Keys, Objects
from tapsupport.errors import TapError
from tapsupport.process import ManneredTap
from tapsupport.shares import share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk import Stream

SUBDOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")  # else the key goes to another host


class TapZenGRC(ManneredTap):
    """Singer tap for ZenGRC's REST API, version 2."""

    name = "tap-zengrc"

    config_jsonschema = th.PropertiesList(
        th.Property(
            "username",
            th.StringType,
            required=True,
            description="Id of the API key; its owner must be able to read what is selected.",
        ),
        th.Property(
            "password",
            th.StringType,
            required=True,
            secret=True,
            description="Secret of the API key.",
        ),
        th.Property(
            "base_url",
            th.StringType,
            description="The API's address, such as https://acme.api.zengrc.com/api/v2. "
            "Default: made from subdomain.",
        ),
        th.Property(
            "subdomain",
            th.StringType,
            description="First part of that address, here acme; not used with base_url.",
        ),
        th.Property(
            "load_type",
            th.StringType,
            default="objects",
            allowed_values=["objects", "deletes"],
            description="What to send: the objects, or their keys only, by which the loader marks "
            "rows that are gone.",
        ),
        th.Property(
            "max_deleted_share",
            share(),
            default=0.2,
            description="Share of a table's rows that deletes may mark in one run, 0 to 1.",
        ),
        th.Property(
            "skip_unchanged",
            th.BooleanType,
            default=True,
            description="Do not send objects again that the last run found the same.",
        ),
        th.Property(
            "max_remembered",
            th.IntegerType(minimum=0),
            default=50_000,
            description="Objects of a stream that the state remembers, with 8 characters each; "
            "those beyond are sent by every run.",
        ),
        th.Property(
            "personal_columns",
            th.BooleanType,
            default=False,
            description="Send owners and contacts of vendors, and names and mail addresses of "
            "people.",
        ),
        th.Property(
            "other_properties",
            th.StringType,
            default="ignore",
            allowed_values=["ignore", "keep"],
            description="What becomes of properties that this tap has no column for: ignore names "
            "them in the log, keep puts them into the column other_properties, personal ones too.",
        ),
        th.Property(
            "list_parameters",
            th.ObjectType(additional_properties=th.StringType),
            description="Query parameters for the first call of every list, such as a page size, "
            "by their names at ZenGRC. Never a filter: what it hides looks deleted.",
        ),
        th.Property(
            "page_delay_seconds",
            th.NumberType(minimum=0),
            default=0,
            description="Pause between two pages.",
        ),
        th.Property(
            "timeout_seconds",
            th.NumberType(exclusive_minimum=0),
            default=60,
            description="How long to wait for an answer before asking again.",
        ),
    ).to_dict()

    @cached_property
    def base_url(self) -> str:
        """The API's address, without a slash at its end.

        Raises:
            TapError: the settings do not give one.
        """
        subdomain = self.config.get("subdomain") or ""
        url = str(self.config.get("base_url") or f"https://{subdomain}.api.zengrc.com/api/v2")
        is_given = self.config.get("base_url") or SUBDOMAIN.fullmatch(subdomain)
        if not is_given or not url.startswith(("https://", "http://")):
            raise TapError(
                "tap-zengrc does not know where the API is: give base_url, such as "
                "https://acme.api.zengrc.com/api/v2, or subdomain, such as acme."
            )
        return url.rstrip("/")

    @override
    def discover_streams(self) -> Sequence[Stream]:
        kind = Keys if self.config.get("load_type") == "deletes" else Objects
        return [kind(self, name) for name in NAMES]

"""Settings, streams and the run of tap-oci."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from typing_extensions import override

from tap_oci import streams
from tapsupport.arrow_tap import ArrowTap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk import Stream

    from tap_oci.client import Storage


class TapOCI(ArrowTap):
    """Singer tap for Oracle Cloud's cost, usage and FOCUS reports."""

    name = "tap-oci"
    capabilities = [  # noqa: RUF012 - the SDK's name; stream maps would need every row in Python
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    config_jsonschema = th.PropertiesList(
        th.Property(
            "authentication",
            th.StringType,
            default="api_key",
            allowed_values=[
                "api_key",
                "config_file",
                "instance_principal",
                "resource_principal",
                "workload_identity",
                "delegation_token",
            ],
            description="How to log in: with a user's key, as a profile of the SDK's file says "
            "(session tokens too), or as the platform that the tap runs on.",
        ),
        th.Property(
            "tenancy", th.StringType, description="OCID of the tenancy, which names the bucket."
        ),
        th.Property("user", th.StringType, description="OCID of the user who has the key."),
        th.Property(
            "fingerprint", th.StringType, description="Fingerprint of the key: 16 pairs of digits."
        ),
        th.Property("key_file", th.StringType, description="Path of the private key (PEM)."),
        th.Property(
            "key_content",
            th.StringType,
            secret=True,
            description="The private key itself (PEM), instead of key_file.",
        ),
        th.Property(
            "pass_phrase", th.StringType, secret=True, description="What the key is encrypted with."
        ),
        th.Property(
            "config_file",
            th.StringType,
            description="Path of the SDK's file. Default: ~/.oci/config.",
        ),
        th.Property(
            "profile", th.StringType, default="DEFAULT", description="Profile in that file."
        ),
        th.Property(
            "delegation_token",
            th.StringType,
            secret=True,
            description="Token for authentication delegation_token.",
        ),
        th.Property(
            "region",
            th.StringType,
            description="The tenancy's home region. Default: looked up, which needs permission "
            "to inspect tenancies.",
        ),
        th.Property(
            "lookup_region",
            th.StringType,
            default="us-ashburn-1",
            description="A region the tenancy is subscribed to, where to look it up.",
        ),
        th.Property(
            "service_endpoint",
            th.StringType,
            description="URL of Object Storage. Default: that of the region.",
        ),
        th.Property(
            "identity_endpoint",
            th.StringType,
            description="URL of the identity service. Default: that of lookup_region.",
        ),
        th.Property(
            "federation_endpoint",
            th.StringType,
            description="URL of the service that gives instances their tokens, up to /v1/x509. "
            "Default: that of the instance's region.",
        ),
        th.Property(
            "namespace",
            th.StringType,
            default="bling",
            description="Object Storage namespace; Oracle's is the same for every customer.",
        ),
        th.Property("bucket", th.StringType, description="Bucket. Default: the tenancy's OCID."),
        th.Property(
            "cost_prefix",
            th.StringType,
            default="reports/cost-csv/",
            description="What the names of cost reports begin with.",
        ),
        th.Property(
            "usage_prefix",
            th.StringType,
            default="reports/usage-csv/",
            description="What the names of usage reports begin with.",
        ),
        th.Property(
            "focus_prefix",
            th.StringType,
            default="FOCUS Reports/",
            description="What the names of FOCUS reports begin with, before the date.",
        ),
        th.Property(
            "start_date",
            th.StringType,
            description="Files made before this date are never read, ISO 8601. Default: all.",
        ),
        th.Property(
            "backfill_from",
            th.StringType,
            description="Read the files made from this date on again, ISO 8601; the bookmark is "
            "neither used nor moved.",
        ),
        th.Property(
            "backfill_to",
            th.StringType,
            description="End of what is read again, ISO 8601; files made at it or later are not.",
        ),
        th.Property(
            "recheck_files",
            th.IntegerType(minimum=1),
            default=20,
            description="How many of the last cost and usage files to list again, to see whether "
            "they were written anew.",
        ),
        th.Property(
            "recheck_days",
            th.IntegerType(minimum=0),
            default=3,
            description="How many days of FOCUS folders before the last to list again.",
        ),
        th.Property(
            "tags",
            th.StringType,
            default="fold",
            allowed_values=["fold", "columns"],
            description="Whether tags go into one column TAGS, or into a column for each key.",
        ),
        th.Property(
            "excess_decimals",
            th.StringType,
            default="error",
            allowed_values=["error", "round"],
            description="What becomes of quantities and costs with more than 18 decimals.",
        ),
        th.Property(
            "files_per_publication",
            th.IntegerType(minimum=1),
            default=50,
            description="How many files the loader publishes at once; a run that dies reads no "
            "more than these again. Parts of a report always go together.",
        ),
        th.Property(
            "max_parallel_files",
            th.IntegerType(minimum=1),
            default=3,
            description="How many files to read at once.",
        ),
        th.Property(
            "max_pending_files",
            th.IntegerType(minimum=1),
            default=8,
            description="Batch files that may exist at once, being written or waiting for the "
            "loader.",
        ),
    ).to_dict()

    @override
    def discover_streams(self) -> Sequence[Stream]:
        self.refuse_unsupported_settings()
        return [
            streams.CostReports(self),
            streams.UsageReports(self),
            streams.FocusReports(self),
        ]

    # What streams share

    @cached_property
    def storage(self) -> Storage:
        """The bucket; the SDK is imported now, as its import takes most of a second."""
        from tap_oci.access import connect  # noqa: PLC0415 - see above

        return connect(self.config, self.stop_if_asked)

    @cached_property
    def readers(self) -> ThreadPoolExecutor:
        """The threads that read files side by side."""
        return ThreadPoolExecutor(self.config["max_parallel_files"], thread_name_prefix="report")

    @property
    @override
    def batch_root(self) -> Path:
        """Where files are, or wait to become records."""
        return (
            super().batch_root if self.config.get("batch_config") else Path(self._own_folder.name)
        )

    @cached_property
    def _own_folder(self) -> tempfile.TemporaryDirectory[str]:
        """Removed with the tap."""
        return tempfile.TemporaryDirectory(prefix="tap-oci-")

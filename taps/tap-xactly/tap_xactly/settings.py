"""The settings of tap-xactly."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_xactly.tables import KINDS, RECALCULATED

_NAMES = th.ArrayType(th.StringType)

SETTINGS = (
    th.Property(
        "backend",
        th.StringType,
        default="https",
        allowed_values=["https", "jdbc"],
        description="The way in: https, or jdbc with Java and the vendor's driver.",
    ),
    th.Property("username", th.StringType, description="Connect user."),
    th.Property("password", th.StringType, secret=True, description="That user's password."),
    th.Property(
        "client_id", th.StringType, secret=True, description="Client id of the API gateway."
    ),
    th.Property("consumer", th.StringType, description="Consumer name of the API gateway."),
    th.Property(
        "api_url",
        th.StringType,
        default="https://api.xactlycorp.com/api",
        description="Base URL of the API.",
    ),
    th.Property(
        "jdbc_driver_path", th.StringType, description="Path of the vendor's driver archive."
    ),
    th.Property(
        "jdbc_driver_class",
        th.StringType,
        default="com.xactly.connect.jdbc.Driver",
        description="The driver's Java class.",
    ),
    th.Property(
        "jdbc_url",
        th.StringType,
        description="JDBC URL. Default: the gateway, with client_id and consumer.",
    ),
    th.Property(
        "default_schema", th.StringType, default="xactly", description="Schema of the tables."
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        default="1970-01-11T00:00:01Z",
        description="Earliest change to read when there is no bookmark.",
    ),
    th.Property(
        "overlap_minutes",
        th.IntegerType(minimum=0),
        default=60,
        description="How far an incremental reading reaches back behind the end of the last one.",
    ),
    th.Property(
        "full_reload",
        _NAMES,
        default=list(RECALCULATED),
        description="Tables to replace as a whole, because their rows are deleted and made anew.",
    ),
    th.Property(
        "skip_if_read_within_hours",
        th.NumberType(minimum=0),
        default=0,
        description="Leave out streams that were read to their end by a run that began so "
        "recently; 0 reads all.",
    ),
    th.Property(
        "keys",
        th.ObjectType(additional_properties=_NAMES),
        default={},
        description="Other key columns for a table: table to list of columns.",
    ),
    th.Property(
        "extra_columns",
        th.ObjectType(additional_properties=th.ObjectType(additional_properties=th.StringType)),
        default={},
        description=f"This tenant's own columns: table to column to kind ({', '.join(KINDS)}).",
    ),
    th.Property(
        "discover_columns",
        th.BooleanType,
        default=False,
        description="Look up this tenant's own columns at discovery; only jdbc can.",
    ),
    th.Property(
        "text_columns",
        _NAMES,
        default=[],
        description="Columns to load as the text that arrives: table.column, * for any characters.",
    ),
    th.Property(
        "decimal_scale",
        th.IntegerType(minimum=0, maximum=37),
        default=18,
        description="Digits behind the point of numbers that are no ids; 38 digits in all.",
    ),
    th.Property(
        "beyond_scale",
        th.StringType,
        default="error",
        allowed_values=["error", "round"],
        description="What becomes of a number with more digits behind the point.",
    ),
    th.Property(
        "time_zone",
        th.StringType,
        default="UTC",
        description="IANA zone of dates that name none.",
    ),
    th.Property(
        "paging",
        th.StringType,
        default="keyset",
        allowed_values=["keyset", "windows"],
        description="windows reads without OR, in windows of time that are halved when full.",
    ),
    th.Property(
        "statement_rows",
        th.IntegerType(minimum=1),
        default=10_000,
        description="LIMIT of one statement; with windows not above the vendor's own limit.",
    ),
    th.Property(
        "result_rows",
        th.IntegerType(minimum=1),
        default=1000,
        description="Rows of a result to fetch at once.",
    ),
    th.Property(
        "statement_timeout_seconds",
        th.IntegerType(minimum=1),
        default=300,
        description="The longest to wait for an answer.",
    ),
    th.Property(
        "tries",
        th.IntegerType(minimum=1),
        default=6,
        description="Tries of one request, the first included.",
    ),
    th.Property(
        "end_session",
        th.BooleanType,
        default=True,
        description="Delete the API session at the end.",
    ),
    th.Property(
        "batch_file_rows",
        th.IntegerType(minimum=1),
        default=200_000,
        description="Rows of a batch file.",
    ),
    th.Property(
        "max_pending_files",
        th.IntegerType(minimum=1),
        default=8,
        description="Batch files that may exist at once, written or waiting for the loader.",
    ),
)

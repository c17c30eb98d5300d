"""The settings of tap-zendesk."""

from __future__ import annotations

from singer_sdk import typing as th

from tapsupport.shares import share

API_URL = "https://{subdomain}.zendesk.com"

SETTINGS = (
    th.Property(
        "subdomain",
        th.StringType,
        required=True,
        description="First part of the account's address: acme for acme.zendesk.com.",
    ),
    th.Property(
        "api_url",
        th.StringType,
        default=API_URL,
        description="Address, with {subdomain} where it belongs; for the sandbox.",
    ),
    th.Property(
        "client_id", th.StringType, description="OAuth client, a confidential one of an admin."
    ),
    th.Property("client_secret", th.StringType, secret=True, description="That client's secret."),
    th.Property(
        "oauth_scope",
        th.StringType,
        default="read",
        description="Scope to ask for; audits need read.",
    ),
    th.Property(
        "refresh_token",
        th.StringType,
        secret=True,
        description="First refresh token, if not client credentials are used; works once.",
    ),
    th.Property(
        "token_file",
        th.StringType,
        description="File that keeps the pair of tokens between runs. Make it once, empty, where "
        "it outlives a run: not on a pod's own disk.",
    ),
    th.Property(
        "token_command",
        th.StringType,
        secret=True,
        description="Instead of token_file a command that keeps the pair: with load it prints the "
        "JSON object, with save it reads it.",
    ),
    th.Property(
        "access_token",
        th.StringType,
        secret=True,
        description="OAuth access token that does not expire, instead of a client.",
    ),
    th.Property("email", th.StringType, description="Admin whom the API token belongs to."),
    th.Property(
        "api_token",
        th.StringType,
        secret=True,
        description="API token; Zendesk accepts them until 30 April 2027.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        description="Earliest change that the exports read when there is no state. "
        "Default: everything.",
    ),
    th.Property(
        "rate_limit_share",
        share(above_zero=True),
        default=0.7,
        description="Part of the account's requests a minute to use; the rest is for people.",
    ),
    th.Property(
        "export_requests_per_minute",
        th.NumberType(exclusive_minimum=0),
        default=10,
        description="Limit of the incremental exports: 10, or 30 with the High Volume add-on.",
    ),
    th.Property(
        "max_parallel",
        th.IntegerType(minimum=1, maximum=20),
        default=16,
        description="How many requests for audits are under way at once.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=10, maximum=1000),
        default=1000,
        description="Records on a page of tickets and users; a page that takes too long is halved.",
    ),
    th.Property(
        "satisfaction_ratings_days",
        th.IntegerType(minimum=0),
        default=60,
        description="How long after it was made a rating may change and still be found.",
    ),
    th.Property(
        "hash_columns",
        th.ArrayType(th.StringType),
        description="Columns to send as HMAC-SHA-256, as stream.column or deeper, such as "
        "ticket_audits.metadata.system.",
    ),
    th.Property(
        "hash_key", th.StringType, secret=True, description="Key of the hashes; keep it the same."
    ),
    th.Property(
        "drop_columns",
        th.ArrayType(th.StringType),
        description="Columns not to send at all, written likewise.",
    ),
    th.Property(
        "exclude_brand_ids",
        th.ArrayType(th.IntegerType),
        description="Brands whose tickets, and all that belongs to them, are left out.",
    ),
    th.Property(
        "exclude_group_ids",
        th.ArrayType(th.IntegerType),
        description="Groups whose tickets are left out.",
    ),
    th.Property(
        "exclude_tags",
        th.ArrayType(th.StringType),
        description="Tags whose tickets are left out.",
    ),
)

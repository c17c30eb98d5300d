"""`tap-zuora-revenue-waterfall`: make the view BI3_WF_SUMM from the tables that were loaded.

It runs `bi3_wf_summ.sql` after each load, since BI3_RC_SCHD_DEL, which has no table while nothing
was deleted, may have come. It needs the extra `waterfall`, which is our loader, and takes the
loader's settings from the environment: `TARGET_SNOWFLAKE_ACCOUNT` and so on.
"""

from __future__ import annotations

import os
import sys
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

import click

from snowflake_loader.authentication import METHODS
from snowflake_loader.errors import LoadError
from snowflake_loader.warehouse import OPTIONAL, connect
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from snowflake_loader.warehouse import Session

PREFIX = "TARGET_SNOWFLAKE_"
REQUIRED = ("account", "user", "database")
SETTINGS = (*REQUIRED, *METHODS, *OPTIONAL, "private_key_passphrase", "use_browser_authentication")
TIMEOUTS = {
    "login_timeout_seconds": 60,
    "network_timeout_seconds": 600,
    "lock_timeout_seconds": 600,
}
SOURCES = ("BI3_ACCT_TYPE", "BI3_CALENDAR", "BI3_RC_SCHD")
DELETED = "BI3_RC_SCHD_DEL"
NOTHING_DELETED = "(SELECT '' AS SCHD_ID WHERE 1 = 0)"


def settings_of(environment: Mapping[str, str], schema: str) -> dict[str, Any]:
    """The loader's settings, as its environment variables give them.

    Raises:
        TapError: one that is always needed is missing.
    """
    given = {name: environment.get(PREFIX + name.upper()) for name in SETTINGS}
    if missing := [PREFIX + name.upper() for name in REQUIRED if not given[name]]:
        raise TapError(f"The waterfall needs the loader's settings. Set {', '.join(missing)}.")
    return {**TIMEOUTS, **{name: value for name, value in given.items() if value}, "schema": schema}


def make_waterfall(session: Session) -> None:
    """Make the view, or make it anew.

    Raises:
        TapError: a table that it is made from is missing.
        LoadError: the warehouse refuses the statement.
    """
    shown = session.execute(f"SHOW TABLES IN SCHEMA {session.schema}", "listing tables")
    tables = {row["NAME"] for row in shown}
    if missing := [name for name in SOURCES if name not in tables]:
        raise TapError(
            f"The waterfall is made from {', '.join(SOURCES)}, but {session.schema} has no "
            f"{', '.join(missing)}. Load them first."
        )
    deleted = f"{session.schema}.{DELETED}" if DELETED in tables else NOTHING_DELETED
    text = resources.files(__package__).joinpath("bi3_wf_summ.sql").read_text()
    statement = Template(text).substitute(schema=session.schema, deleted=deleted)
    session.execute(statement, "making the view BI3_WF_SUMM")


@click.command()
@click.option("--schema", required=True, help="Schema that the BI views were loaded into.")
def main(schema: str) -> None:
    """Make the view BI3_WF_SUMM from the tables of a schema."""
    try:
        session = connect(settings_of(os.environ, schema), "waterfall")
        try:
            make_waterfall(session)
        finally:
            session.close()
    except (TapError, LoadError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    click.echo(f"{schema}.BI3_WF_SUMM is made.", err=True)

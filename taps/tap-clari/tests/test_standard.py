"""The Singer SDK's standard tap suite, which wants a server before there are fixtures.

With currency and scopeId as objects: the suite demands of a property with several types that each
value has all of them.
"""

from __future__ import annotations

import atexit
import datetime as dt
from contextlib import ExitStack

from singer_sdk.testing import SuiteConfig, get_tap_test_class

from sandbox.vendors.clari import Clari
from sandbox.vendors.server import serve
from tap_clari.tap import TapClari

vendor = Clari(size=12, today=dt.date(2025, 5, 15))
vendor.forecasts.structured = True
stack = ExitStack()
atexit.register(stack.close)

TestTapClari = get_tap_test_class(
    TapClari,
    config={
        "api_token": vendor.token,
        "api_url": f"{stack.enter_context(serve(vendor))}/v4",
        "forecast_ids": list(vendor.forecast_ids),
        "execution_date": str(vendor.today),
        "fiscal_year_start_month": 2,
        "types_to_export": ["forecast", "forecast_updated", "quota"],
        "keep_snapshots": True,
        "poll_seconds": 0.01,
    },
    suite_config=SuiteConfig(max_records_limit=None),
    parse_env_config=False,
)

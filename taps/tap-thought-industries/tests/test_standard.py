"""The Singer SDK's standard tap suite, which wants a site before there are fixtures."""

from __future__ import annotations

import atexit
from contextlib import ExitStack

from singer_sdk.testing import get_tap_test_class

from sandbox.vendors.server import serve
from sandbox.vendors.thought_industries import KEY, ThoughtIndustries
from tap_thought_industries.streams import STREAMS
from tap_thought_industries.tap import TapThoughtIndustries

from .conftest import catalog

stack = ExitStack()
url = stack.enter_context(serve(ThoughtIndustries(60, days=3)))
atexit.register(stack.close)

TestTapThoughtIndustries = get_tap_test_class(
    TapThoughtIndustries,
    config={
        "api_url": url,
        "api_key": KEY,
        "start_date": "2026-01-01",
        "end_date": "2026-01-04",
    },
    parse_env_config=False,
    catalog=catalog(*(stream.name for stream in STREAMS)),
)

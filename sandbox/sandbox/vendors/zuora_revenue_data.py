"""The BI views of the invented tenant, made from a size; see `zuora_revenue`."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Row = Sequence[str]
Maker = Callable[[random.Random, int], Row]

STAMP = "INCR_UPDT_DT"
FIRST_STAMP = dt.datetime(2020, 1, 1, 6)  # noqa: DTZ001 - the tenant's own clock
DAYS_OF_STAMPS = 1800
PERIODS = [f"{year}{month:02d}" for year in (2023, 2024, 2025) for month in range(1, 13)]
ACCOUNT_TYPES = (("A", "Revenue", "Y"), ("L", "Contract liability", "Y"), ("X", "Clearing", "N"))
SCHEDULE_COLUMNS = (
    "RC_ID AMOUNT CURR F_EX_RATE PRD_ID POST_PRD_ID G_EX_RATE CRTD_PRD_ID ROOT_LINE_ID SCHD_ID"
    " LINE_ID ACCTG_SEG ACCTG_TYPE NETTING_ENTRY_FLAG SCHD_TYPE_FLAG CLIENT_ID BOOK_ID SEC_ATR_VAL"
    " CRTD_BY CRTD_DT UPDT_BY UPDT_DT"
)
TEXTS = (
    "plain",
    'Waiting for "acceptance", see ticket',
    "two\nlines, one field",
    "carriage\r\nreturn",
    "Zürich, 東京",
    "",
)


@dataclass
class View:
    """One BI view.

    Attributes:
        name: As in the API's path.
        header: Names of the columns, in the file's order.
        rows: Values as text, one list for each row.
    """

    name: str
    header: list[str]
    rows: list[list[str]]

    def between(self, start: str, end: str) -> Sequence[Row]:
        """The rows whose update stamp lies in a window; both bounds belong to it."""
        stamp = self.header.index(STAMP)
        return [row for row in self.rows if start <= row[stamp] <= end]

    def dicts(self) -> list[dict[str, str | None]]:
        """The rows as a reader should have them: an empty field is null."""
        return [
            {name: value or None for name, value in zip(self.header, row, strict=True)}
            for row in self.rows
        ]


def make_views(size: int) -> dict[str, View]:
    """Make all views; `size` is the number of rows of the long ones."""
    views = {}
    for name, (columns, count, make) in _views(size).items():
        chance = random.Random(name)  # noqa: S311 - test data, and the same in every run
        rows = [[*make(chance, n), _stamp(chance)] for n in range(count)]
        views[name] = View(name, [*columns.split(), STAMP], rows)
    return views


def _stamp(chance: random.Random) -> str:
    moment = FIRST_STAMP + dt.timedelta(seconds=chance.randrange(DAYS_OF_STAMPS * 86400))
    return moment.isoformat()


def _views(size: int) -> dict[str, tuple[str, int, Maker]]:
    """By name: the columns without the stamp, how many rows, and how to make one."""
    few = max(size // 10, 1)
    return {
        "BI3_ACCT_TYPE": (
            "ID NAME WATERFALL_FLAG CLIENT_ID", len(ACCOUNT_TYPES),
            lambda _, n: [*ACCOUNT_TYPES[n], "1"],
        ),
        "BI3_APPR_DTL": (
            "RC_APPR_ID RC_ID APPROVER_COMMENTS APPROVER_SEQUENCE APPROVAL_RULE_ID", few,
            lambda c, n: [str(n // 2), str(n), _text(c), str(n % 2), str(n % 7)],
        ),
        "BI3_BOOK": ("ID NAME TYPE", 0, _nothing),
        "BI3_CALENDAR": (
            "ID PERIOD_NAME PERIOD_YEAR CLIENT_ID", len(PERIODS),
            lambda _, n: [PERIODS[n], f"P{n % 12 + 1}", PERIODS[n][:4], "1"],
        ),
        "BI3_LN_ACCT_SUMM": ("LINE_ID AMOUNT", 0, _nothing),
        "BI3_MJE": (
            "JE_HEAD_ID JE_HEAD_NAME JE_LINE_ID AMOUNT PRD_ID", few,
            lambda c, n: [str(n // 3), _text(c), str(9000 + n), _amount(c), c.choice(PERIODS)],
        ),
        "BI3_ORG": ("ID ORG_ID ORG_NAME", 0, _nothing),
        "BI3_RC_BILL": (
            "ID RC_ID CSTMR_NM INVOICE_NUM DEF_AMT NEW_IN_THIS_RELEASE", size,
            lambda c, n: [str(n), str(n % 50), _text(c), f"INV{n:06d}", _amount(c), _text(c)],
        ),
        "BI3_RC_HEAD": (
            "ID VERSION CSTMR_NM POSTED_FLAG", few,
            lambda c, n: [str(n), "1", _text(c), c.choice("YN")],
        ),
        "BI3_RC_HOLD": (
            "RC_HOLD_ID RC_ID RC_HOLD_COMMENT RC_HOLD_APPLIED_PRD_ID", few,
            lambda c, n: [str(10000 + n), str(n), _text(c), c.choice(PERIODS)],
        ),
        "BI3_RC_LN_COST": ("ID LINE_ID COST_AMT", 0, _nothing),
        "BI3_RC_LNS": (
            "ID RC_ID TYPE CSTMR_NM EXT_SLL_PRC COMMENTS", size,
            lambda c, n: [str(n), str(n % 50), "SO", _text(c), _amount(c), _text(c)],
        ),
        "BI3_RC_POB": (
            "RC_POB_ID RC_ID RC_POB_NAME REV_TIMING", few,
            lambda c, n: [str(n), str(n % 50), _text(c), "Ratable"],
        ),
        "BI3_RC_SCHD": (
SCHEDULE_COLUMNS, size, _schedule,
        ),
        "BI3_RC_SCHD_DEL": (
            "SCHD_ID CLIENT_ID DELETED_TIME", few,
            lambda c, n: [str(n * 7), "1", _stamp(c)],
        ),
        "BI3_RI_ACCT_SUMM": (
            "PRD_ID LINE_ID ROOT_LINE_ID RC_ID ACCT_TYPE_ID ACCTG_SEGS SCHD_TYPE T_AMT UPDT_DT",
            size,
            lambda c, n: [PERIODS[n % 36], str(n), str(n), str(n % 50), "A", "", "R", _amount(c),
                          _stamp(c)],
        ),
        "BI3_WF_SUMM": (
            "AS_OF_PRD_ID SCHD_ID ACCTG_TYPE_ID T_AT", few,
            lambda c, n: [PERIODS[n % 36], str(n), "A", _amount(c)],
        ),
    }  # fmt: skip


def _schedule(chance: random.Random, number: int) -> Row:
    first = chance.randrange(len(PERIODS))
    due = min(first + chance.randrange(6), len(PERIODS) - 1)
    posted = PERIODS[due] if chance.random() < 0.5 else ""  # noqa: PLR2004 - one half
    return [
        str(number % 50), _amount(chance), "USD", "1.25", PERIODS[due], posted, "0.5",
        PERIODS[first], str(number % 40), str(number), str(number % 40), "4000-10",
        ACCOUNT_TYPES[number % 3][0], "N", chance.choice("RA"), "1", "1", "all", "loader",
        _stamp(chance), "loader", _stamp(chance),
    ]  # fmt: skip


def _amount(chance: random.Random) -> str:
    return f"{chance.randrange(-10_000_00, 10_000_00) / 100:.2f}"


def _text(chance: random.Random) -> str:
    return chance.choice(TEXTS)


def _nothing(_: random.Random, __: int) -> Row:
    return []

"""What exportData is asked for: only what the settings name (sheet, section 3.1)."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tap_adaptive.documents import element
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from lxml import etree

MONTH = re.compile(r"(\d{1,2})/(\d{4})")
MONTHS_PER_YEAR = 12
CORPORATE, LOCAL = "corporate", "local"


@dataclass(frozen=True)
class ReportRequest:
    """The filters of exportData.

    Attributes:
        accounts: Codes, never empty: without a filter the vendor sends every account, and some
            hold figures that are not public.
        with_descendants: Whether the accounts below these come too.
        levels: Names; empty for all. The levels below them come too.
        rollup_levels: Whether rolled-up levels have rows of their own.
        dimensions: Names of the dimensions that become columns.
        start: First period, or None for the version's own span.
        end: Last period, likewise.
        months_per_call: How many months one call asks for at most; 0 is no limit.
        currency: `corporate`, `local`, or the code of a currency.
    """

    accounts: tuple[str, ...]
    with_descendants: bool
    levels: tuple[str, ...]
    rollup_levels: bool
    dimensions: tuple[str, ...]
    start: str | None
    end: str | None
    months_per_call: int
    currency: str

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ReportRequest:
        """Take it from the tap's settings.

        Raises:
            TapError: no account code, or a time span that is none.
        """
        accounts = tuple(dict.fromkeys(code for code in config["account_codes"] if code))
        if not accounts:
            raise TapError(
                "The setting account_codes is empty, and exportData without account codes would "
                "send every account, those with figures that are not public too. Name the codes, "
                "or deselect the streams data, reports and processed."
            )
        start, end = config.get("time_span_start"), config.get("time_span_end")
        if bool(start) != bool(end):
            raise TapError(
                "Of the settings time_span_start and time_span_end only one is set. "
                "Set both, or none to get each version's own span."
            )
        _check_span(start or "", end or "")
        return cls(
            accounts=accounts,
            with_descendants=config["account_descendants"],
            levels=tuple(config["levels"]),
            rollup_levels=config["rollup_levels"],
            dimensions=tuple(config["dimensions"]),
            start=start or None,
            end=end or None,
            months_per_call=config["months_per_call"],
            currency=config["currency"],
        )

    def narrowed(self, stream: str, asked: Collection[str | None] | None) -> ReportRequest:
        """The request for those account codes only that a catalog asks for; None for all.

        Raises:
            TapError: the catalog asks for a code that the settings do not allow, or for none.
        """
        if asked is None:
            return self
        codes = tuple(dict.fromkeys(code for code in asked if code is not None))
        if not codes:
            raise TapError(
                f"The catalog asks the stream {stream} for no account code, and exportData without "
                "account codes would send every account. Name codes in the enum of account_code, "
                "or deselect the stream."
            )
        if forbidden := sorted(set(codes) - set(self.accounts)):
            raise TapError(
                f"The catalog asks the stream {stream} for the account codes "
                f"{', '.join(forbidden)}, which are not among account_codes. Take them out of the "
                "catalog, or allow them in the setting."
            )
        return ReportRequest(**{**asdict(self), "accounts": codes})

    def fingerprint(self, version: Mapping[str, Any]) -> str:
        """A hash of what is asked and of the version's attributes: it changes with either."""
        text = json.dumps([asdict(self), version], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def spans(self) -> Iterator[tuple[str, str] | None]:
        """The time spans of the calls; one None for the version's own span."""
        first, last = MONTH.fullmatch(self.start or ""), MONTH.fullmatch(self.end or "")
        if not self.start or not self.end:
            yield None
        elif not first or not last or not self.months_per_call:
            yield self.start, self.end
        else:
            begin, end = _month_number(first), _month_number(last)
            for month in range(begin, end + 1, self.months_per_call):
                yield _code(month), _code(min(month + self.months_per_call - 1, end))

    def body(self, version: str, span: tuple[str, str] | None) -> list[etree._Element]:
        """The elements of one call after `<credentials>`."""
        descendants = _flag(self.with_descendants)
        accounts = [
            element("account", code=code, isAssumption="false", includeDescendants=descendants)
            for code in self.accounts
        ]
        levels = [
            element(
                "level", name=name, isRollup=_flag(self.rollup_levels), includeDescendants="true"
            )
            for name in self.levels
        ]
        filters = element("filters", element("accounts", *accounts))
        if levels:
            filters.append(element("levels", *levels))
        if span:
            filters.append(element("timeSpan", start=span[0], end=span[1]))
        return [
            element("version", name=version, isDefault="false"),
            element("format",
                useInternalCodes="true", includeUnmappedItems="false", includeCodes="true",
                includeNames="true", includeDisplayNames="false", displayNameEnabled="true",
            ),
            filters,
            *self._dimensions(),
            self._rules(),
        ]  # fmt: skip

    def _dimensions(self) -> list[etree._Element]:
        names = [element("dimension", name=name) for name in self.dimensions]
        return [element("dimensions", *names)] if names else []

    def _rules(self) -> etree._Element:
        """Roll-up accounts are included: an account that is named comes, roll-up or not."""
        currency = {CORPORATE: {"useCorporate": "true"}, LOCAL: {"useLocal": "true"}}
        return element(
            "rules",
            element("currency", **currency.get(self.currency, {"override": self.currency})),
            includeZeroRows="false",
            includeRollupAccounts="true",
            includeRollupLevels=_flag(self.rollup_levels),
            markInvalidValues="true",
            markBlanks="true",
            timeRollups="false",
        )


def _check_span(start: str, end: str) -> None:
    """Refuse what would ask for other months than were meant, or for none.

    A version that nothing was asked of has no rows, and its old ones would be replaced by them.
    """
    first, last = MONTH.fullmatch(start), MONTH.fullmatch(end)
    for match in (first, last):
        if match and not 1 <= int(match[1]) <= MONTHS_PER_YEAR:
            raise TapError(
                f"The settings time_span_start and time_span_end hold {match[0]}, which is no "
                "month. Write months as 01/2025."
            )
    if first and last and _month_number(first) > _month_number(last):
        raise TapError(
            f"The setting time_span_start, {start}, is later than time_span_end, {end}. "
            "Exchange them."
        )


def _flag(value: bool) -> str:  # noqa: FBT001 - the only argument
    return "true" if value else "false"


def _month_number(match: re.Match[str]) -> int:
    return int(match[2]) * MONTHS_PER_YEAR + int(match[1]) - 1


def _code(month: int) -> str:
    return f"{month % MONTHS_PER_YEAR + 1:02d}/{month // MONTHS_PER_YEAR}"

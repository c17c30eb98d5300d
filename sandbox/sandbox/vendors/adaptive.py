"""A stand-in for Workday Adaptive Planning's XML API, written from "adaptive.md"."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from xml.sax.saxutils import quoteattr

from lxml import etree
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from typing_extensions import override

from sandbox.vendors import adaptive_data
from sandbox.vendors.adaptive_cells import Plan, RefusedError
from sandbox.vendors.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request

    from sandbox.vendors.adaptive_data import Node

LOGIN = "api.user@example.com"
PASSWORD = 'p&ss"word<1>'  # noqa: S105 - of the sandbox alone
INSTANCE = "EXAMPLE1"
API_VERSIONS = [f"v{number}" for number in range(29, 45)]
CSV_METHODS = ("exportData", "exportConfigurableModelData")


@dataclass(frozen=True)
class Call:
    """A call that was let in: its method, its other attributes, its body without the login."""

    method: str
    caller: str
    locale: str
    body: etree._Element


@dataclass(frozen=True)
class Stalled:
    """An answer that rests for some seconds after its first part."""

    first: bytes
    seconds: float
    rest: bytes = b""


class Adaptive(Vendor):
    """Every export method behind one address, with the login in the body and 200 for refusals.

    Departures: no public source shows keys of errors but that of a bad login, nor the answers of
    exportDimensionFamilies, exportInstances, exportLocales, exportRoles, exportSecurityAudit,
    exportTransactionDefinition, exportCustomerLogo and the two that define sheets: those are
    invented. exportVersions, exportLevels and exportAccounts do not filter; exportData knows no
    zero rows, no roll-ups and one dimension, Product. The wrong locale is refused.

    Attributes:
        size: Accounts besides the fixed ones, users, and rows of each version in exportData.
        outputs: The elements below `<output>`, by method; change them as you like.
        sheet_csv: exportConfigurableModelData's CSV, by sheet.
        plan: The cells of exportData.
        calls: Every call that was let in.
        refused_logins: How many calls were not.
        calls_until_changed: How many calls are let in until the password is another one.
        forbidden: Methods that the user may not call.
        instead: Answers to give in place of its own, by method, the first one first.
    """

    name: ClassVar[str] = "adaptive"

    def __init__(self, size: int = 200) -> None:
        super().__init__(size)
        self.outputs: dict[str, list[Node]] = adaptive_data.outputs(size)
        self.sheet_csv = dict(adaptive_data.SHEET_CSV)
        self.plan = Plan(default_rows=size)
        self.calls: list[Call] = []
        self.refused_logins = 0
        self.calls_until_changed: int | None = None
        self.forbidden: set[str] = set()
        self.instead: dict[str, list[bytes | Stalled]] = {}

    @override
    def routes(self) -> Sequence[Route]:
        return [Route("/api/{version}", self._answer, methods=["POST"])]

    def called(self, method: str) -> list[etree._Element]:
        """The bodies of a method's calls."""
        return [call.body for call in self.calls if call.method == method]

    async def _answer(self, request: Request) -> Response:
        if request.path_params["version"] not in API_VERSIONS:
            return Response("<html>No such version</html>", 404)
        try:
            call = etree.fromstring(await request.body())
            method = self._let_in(call)
            replies = self.instead.get(method)
            if replies:
                return _reply(replies.pop(0))
            return _xml(self._export(method, call))
        except etree.XMLSyntaxError:
            return _xml(failure("error-malformed", "The request is not XML."))
        except RefusedError as error:
            return _xml(failure(error.key, error.text))

    def _let_in(self, call: etree._Element) -> str:
        method, caller = call.get("method", ""), call.get("callerName", "")
        login = call.find("credentials")
        if login is None or not caller:
            raise RefusedError("error-invalid-request", "callerName and credentials are needed.")
        known = (login.get("login"), login.get("password")) == (LOGIN, PASSWORD)
        known &= len(self.calls) != self.calls_until_changed
        if not known or login.get("instanceCode", INSTANCE) != INSTANCE:
            self.refused_logins += 1
            text = f"Authentication failed for User: {login.get('login')}"
            raise RefusedError("error-authentication-failure", text)
        if method in self.forbidden:
            text = f"Authentication failed for User: {LOGIN}"
            raise RefusedError("error-authentication-failure", text)
        locale = login.get("locale", "")
        if locale != "en_US":
            raise RefusedError("error-invalid-locale", f"Locale {locale}.")
        call.remove(login)
        self.calls.append(Call(method, caller, locale, call))
        return method

    def _export(self, method: str, call: etree._Element) -> str:
        if method == "exportData":
            text, rows = self.plan.export(call, self.outputs)
            return csv_answer(text, rows if call.get("stream") == "true" else None)
        if method == "exportConfigurableModelData":
            return success(f"<data>{_cdata(self._sheet_rows(call))}</data>")
        if method in ("exportSheetDefinition", "exportModeledSheet"):
            return success(self._definition(call))
        if method not in self.outputs:
            raise RefusedError("error-unknown-method", f"The method {method} is unknown.")
        elements = [node.xml() for node in self.outputs[method]]
        if method == "exportDimensions":
            _drop_values(elements, call)
        return success("".join(etree.tostring(e, encoding="unicode") for e in elements))

    def _sheet_rows(self, call: etree._Element) -> str:
        sheet = call.find("modeled-sheet")
        name = "" if sheet is None else sheet.get("name", "")
        is_global = sheet is not None and sheet.get("isGlobal") == "true"
        if (
            name not in self.sheet_csv
            or is_global != (name in adaptive_data.ASSUMPTION_SHEETS)
            or call.find("version") is None
        ):
            raise RefusedError("error-invalid-sheet", "The sheet or version is not valid.")
        return self.sheet_csv[name]

    def _definition(self, call: etree._Element) -> str:
        by_id, by_name = call.find("modeled-sheet"), call.find("exportModel")
        for sheet in self.outputs["exportSheets"]:
            found = by_id is not None and by_id.get("id") == sheet.attributes["id"]
            name = sheet.attributes["name"]
            found |= by_name is not None and by_name.get("sheetToExport") == name
            if found and sheet.tag != "standard-sheet":
                return (
                    f"<{sheet.tag} name={quoteattr(name)}><column id='1' name='A'/></{sheet.tag}>"
                )
        raise RefusedError("error-invalid-sheet", "No such sheet.")


def success(output: str, messages: str = "") -> str:
    """A whole answer of the plain mode."""
    return f'<response success="true">{messages}<output>{output}</output></response>'


def failure(key: str, text: str) -> str:
    """A refusal."""
    root = etree.Element("response", success="false")
    message = etree.SubElement(etree.SubElement(root, "messages"), "message", key=key)
    message.text = text
    return etree.tostring(root, encoding="unicode")


def csv_answer(text: str, rows: int | None) -> str:
    """A whole answer of exportData; in stream mode with the count of rows in its trailer."""
    if rows is None:
        return success(_cdata(text))
    return (
        f"<response>\n  <output>{_cdata(text)}</output>\n"
        f'  <status success="true" rowCountSent="{rows}"/>\n</response>'
    )


def _cdata(text: str) -> str:
    return f"<![CDATA[\n{text}]]>" if text else ""


def _drop_values(elements: list[etree._Element], call: etree._Element) -> None:
    asked = call.find("include")
    if asked is not None and asked.get("dimensionValues") == "false":
        for root in elements:
            for dimension in root:
                for child in list(dimension):
                    dimension.remove(child)


def _xml(text: str) -> Response:
    return _reply(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode())


def _reply(answer: bytes | Stalled) -> Response:
    kind = "application/xml"
    if isinstance(answer, bytes):
        return Response(answer, media_type=kind)
    return StreamingResponse(_stalling(answer), media_type=kind)


async def _stalling(answer: Stalled) -> AsyncIterator[bytes]:
    yield answer.first
    await asyncio.sleep(answer.seconds)
    yield answer.rest

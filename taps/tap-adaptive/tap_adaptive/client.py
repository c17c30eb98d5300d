"""The XML API: one POST per method, with the login inside its body.

Facts: the sheet "Workday Adaptive Planning - XML API", sections 1, 2 and 7.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import tenacity
from lxml import etree

from tap_adaptive.answer import Answer, AnswerWriter
from tap_adaptive.csv_output import CsvOutput
from tap_adaptive.documents import element, parse
from tap_adaptive.errors import AnswerError, LoginError, RefusedError, UnreadableAnswerError
from tapsupport.http import BROKEN, MESSAGE_LENGTH, HttpSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import requests

logger = logging.getLogger(__name__)

LOCALE = "en_US"  # another one changes the decimal mark and the dates of the answers
LOGIN_REFUSED = "error-authentication-failure"
OPEN_TO_ALL = "exportVersions"  # needs no permission
TRIES_OF_AN_ANSWER = 3
PIECE_BYTES = 1 << 16
# What a method needs of the API user; for the others the vendor names nothing.
PERMISSIONS = {
    "exportConfigurableModelData": "read access to the sheet",
    "exportData": "data access to the accounts and levels",
    "exportDimensionMapping": "the sales-planning product",
    "exportModeledSheet": "the permission MOD",
    "exportSheetDefinition": "the permission IMP or MOD",
    "exportSheets": "the permission IMP or MOD",
    "exportTransactionDefinition": "the permission IMP or MANAGE_TX",
    "exportUsers": "the permission User Admin",
}


@dataclass
class Client:
    """Calls methods, one at a time.

    Attributes:
        http: Sends, and tries again what may pass.
        path: Of the API's version: `/api/v40`.
        credentials: The attributes of `<credentials>`.
        caller_name: How the vendor's logs call us.
        bodies: Elements after `<credentials>`, by method, instead of the tap's own.
        stop_if_asked: Called between two pieces of an answer; may raise to end the run.
        is_waiting: Whether a call is under way, which may take minutes.
    """

    http: HttpSession
    path: str
    credentials: Mapping[str, str]
    caller_name: str
    bodies: Mapping[str, list[etree._Element]] = field(default_factory=dict)
    stop_if_asked: Callable[[], None] = lambda: None
    is_waiting: bool = field(default=False, init=False)
    _was_let_in: bool = field(default=False, init=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], stop_if_asked: Callable[[], None]) -> Client:
        """Make a client of the tap's settings.

        Raises:
            AnswerError: `method_bodies` holds something that is not XML.
        """
        given = {
            "login": config["login"],
            "password": config["password"],
            "instanceCode": config.get("instance_code"),
        }
        http = HttpSession(
            base_url=config["api_url"].rstrip("/"),
            vendor="Adaptive",
            credentials="login, password and instance_code",
            message=_vendors_words,
            before=stop_if_asked,
            timeout=(10.0, float(config["timeout_seconds"])),
        )
        return cls(
            http,
            f"/api/{config['api_version']}",
            {name: value for name, value in given.items() if value} | {"locale": LOCALE},
            config["caller_name"],
            {name: _elements(name, text) for name, text in config["method_bodies"].items()},
            stop_if_asked,
        )

    @contextmanager
    def call(self, method: str, *body: etree._Element, stream: bool = False) -> Iterator[Answer]:
        """Call a method; yields its whole and successful answer, which is on disk meanwhile.

        Args:
            method: Its name.
            body: The elements after `<credentials>`.
            stream: Ask for the mode in which the flag of success follows the data.

        Raises:
            RefusedError: the vendor refused it.
            AnswerError: its answer cannot be used, or is still not whole after all tries.
            LoginError: the login was refused, and no call before was let in.
            TapError: no answer.
        """
        document = self._document(method, self.bodies.get(method, body), stream=stream)
        with TemporaryDirectory(prefix="tap-adaptive-") as folder:
            yield self._answer(method, document, Path(folder))

    def _document(self, method: str, body: Iterable[etree._Element], *, stream: bool) -> bytes:
        root = element("call", method=method, callerName=self.caller_name)
        if stream:
            root.set("stream", "true")
        root.append(element("credentials", **self.credentials))
        root.extend(body)
        return etree.tostring(root, encoding="UTF-8", xml_declaration=True)

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(UnreadableAnswerError),
        stop=tenacity.stop_after_attempt(TRIES_OF_AN_ANSWER),
        wait=tenacity.wait_exponential_jitter(max=60),
        before_sleep=lambda state: _log_retry(state),  # noqa: PLW0108 - defined below
        reraise=True,
    )
    def _answer(self, method: str, document: bytes, folder: Path) -> Answer:
        self.is_waiting = True
        try:
            return self._try(Answer(method, folder / "answer.xml", folder / "output.txt"), document)
        finally:
            self.is_waiting = False

    def _try(self, answer: Answer, document: bytes) -> Answer:
        # A redirected POST would arrive as a GET, or bring the password to another host.
        options: dict[str, Any] = {"stream": True, "allow_redirects": False}
        headers = {"Content-Type": "application/xml"}
        with self.http.post(self.path, data=document, headers=headers, **options) as response:
            self._receive(response, answer)
        self._check_success(answer)
        if answer.row_count is not None:
            CsvOutput(answer).check_row_count(answer.row_count)
        return answer

    def _receive(self, response: requests.Response, answer: Answer) -> None:
        with AnswerWriter(answer) as writer:
            try:
                for piece in response.iter_content(PIECE_BYTES):
                    self.stop_if_asked()
                    writer.feed(piece)
            except BROKEN as error:
                raise UnreadableAnswerError(
                    f"{answer.method}: the answer broke off ({type(error).__name__}). Run again "
                    "later; if it lasts, raise the setting timeout_seconds."
                ) from None
            writer.close()

    def _check_success(self, answer: Answer) -> None:
        if answer.success is None:
            raise UnreadableAnswerError(
                f"{answer.method}: the answer says neither that it succeeded nor that it failed, "
                "as one that was cut off. Run again later."
            )
        said = "; ".join(f"{text.strip()} ({key})" for key, text in answer.messages)
        if answer.success:
            self._was_let_in = True
            if said:
                logger.warning("%s: the vendor says: %s", answer.method, said)
            return
        needs = PERMISSIONS.get(answer.method, "access to what it exports")
        if LOGIN_REFUSED in {key for key, _ in answer.messages}:
            self._check_login(answer.method, said, needs)
        raise RefusedError(
            f"{answer.method} failed: {said or 'the vendor gives no reason'}. The API user needs "
            f"{needs}; correct that or the settings, or deselect the stream."
        )

    def _check_login(self, method: str, said: str, needs: str) -> None:
        """Tell a login that is refused from one that may not call a method: the key is the same.

        A login can also end in the middle of a run, and each further try with it brings the user
        nearer to being locked. So the method that is open to all is asked, once.
        """
        if self._was_let_in and method != OPEN_TO_ALL:
            self._was_let_in = False
            asked = element("include", rootActuals="false", scenarios="false")
            with self.call(OPEN_TO_ALL, asked):
                return
        raise LoginError(
            f"Adaptive refused the login at {method}: {said}. Check login, password and "
            "instance_code before another run, since repeated refusals can lock the user; if they "
            f"are right, the API user lacks {needs}."
        )


def _vendors_words(response: requests.Response) -> str:
    """The messages of a small XML body, whatever its status; none if it is not whole."""
    try:
        root = parse(response.content)
    except (etree.XMLSyntaxError, *BROKEN):
        return ""
    texts = [found.text or "" for found in root.iterfind("messages/message")]
    return "; ".join(texts)[:MESSAGE_LENGTH]


def _elements(method: str, text: str) -> list[etree._Element]:
    try:
        return list(parse(f"<body>{text}</body>"))
    except etree.XMLSyntaxError as error:
        raise AnswerError(
            f"The setting method_bodies gives {method} something that is not XML (line "
            f"{error.lineno}). Write elements as they stand after <credentials>."
        ) from None


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0
    logger.warning("%s Trying again in %.0f s.", error, wait)

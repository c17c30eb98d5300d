"""An answer of the XML API, read once while it arrives: whole or not, successful or not.

The flag of success stands at the root or, in stream mode, behind the data (sheet "Workday Adaptive
Planning - XML API", section 2), so an answer is kept on disk until all of it was read. Expat does
this pass: unlike libxml2 it hands on a CDATA section in pieces, whatever its length.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat

from lxml import etree

from tap_adaptive.documents import parse
from tap_adaptive.errors import AnswerError, UnreadableAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

TEXT_PIECE_BYTES = 1 << 18


@dataclass
class Answer:
    """A whole answer on disk.

    Attributes:
        method: The method called.
        xml: The file with the document.
        text: The file with the text of `<output>`, one line end after it and no other white space
            around it.
        success: The root's or the trailer's flag; None when there is neither.
        row_count: Rows of CSV that the trailer announces, header not counted.
        messages: Key and text of each message.
        quotes: Quotation marks in the text; an odd number is a CSV that breaks off.
        has_text: Whether there is any text in `<output>`.
    """

    method: str
    xml: Path
    text: Path
    success: bool | None = None
    row_count: int | None = None
    messages: list[tuple[str, str]] = field(default_factory=list)
    quotes: int = 0
    has_text: bool = False

    def events(self) -> Iterator[tuple[str, etree._Element]]:
        """Parse again, element by element: ("start" or "end", element).

        Raises:
            AnswerError: it is deeper, or a value in it longer, than libxml2 reads.
        """
        try:
            yield from etree.iterparse(
                str(self.xml),
                events=("start", "end"),
                remove_comments=True,
                remove_pis=True,
                resolve_entities=False,
                no_network=True,
                huge_tree=False,
            )
        except etree.XMLSyntaxError as error:
            raise self._beyond_limits(error) from None

    def output(self) -> etree._Element | None:
        """Parse again, as a tree: the element `<output>`. For small answers.

        Raises:
            AnswerError: as above.
        """
        try:
            return parse(self.xml).find("output")
        except etree.XMLSyntaxError as error:
            raise self._beyond_limits(error) from None

    def _beyond_limits(self, error: etree.XMLSyntaxError) -> AnswerError:
        return AnswerError(
            f"{self.method}: the answer is whole, but beyond what can be read safely, in line "
            f"{error.lineno}: elements deeper than 256, or a value of more than 10 MB. Nothing of "
            "it replaces what was loaded. Report it as a fault of this tap."
        )


class AnswerWriter:
    """Takes the bytes of an answer as they arrive, and fills in an `Answer`.

    Raises:
        AnswerError: a document type declaration, which the API never sends.
        UnreadableAnswerError: not XML, not an answer of the API, or not whole.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._path: list[str] = []
        self._space = ""
        self._files = ExitStack()
        parser = self._parser = expat.ParserCreate()
        parser.buffer_text, parser.buffer_size = True, TEXT_PIECE_BYTES
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data

    def __enter__(self) -> Self:
        self._xml = self._files.enter_context(self._answer.xml.open("wb"))
        text = self._answer.text.open("w", encoding="utf-8", newline="")
        self._text = self._files.enter_context(text)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._files.close()

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        """Take the next bytes."""
        self._xml.write(piece)
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            raise UnreadableAnswerError(
                f"{self._answer.method}: the answer is not whole XML "
                f"({expat.ErrorString(error.code)}, line {error.lineno}). Run again later; if it "
                "lasts, see whether something between here and api_url changes answers."
            ) from None

    def close(self) -> None:
        """Say that all bytes have come."""
        self.feed(b"", last=True)
        if self._answer.has_text:
            self._text.write("\n")

    def _refuse_doctype(self, *_: object) -> None:
        raise AnswerError(
            f"{self._answer.method}: the answer declares a document type, which the API never "
            "does and which can make a small document huge. Check the setting api_url."
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._path:
            self._root(tag, attributes)
        elif self._path == ["response"] and tag == "status":
            self._trailer(attributes)
        elif tag == "message" and self._path == ["response", "messages"]:
            self._answer.messages.append((attributes.get("key", ""), ""))
        self._path.append(tag)

    def _root(self, tag: str, attributes: dict[str, str]) -> None:
        if tag != "response":
            raise UnreadableAnswerError(
                f"{self._answer.method}: the answer is a <{tag}> and not a <response>. Run again "
                "later; if it lasts, check the settings api_url and api_version."
            )
        if "success" in attributes:
            self._answer.success = attributes["success"] == "true"

    def _trailer(self, attributes: dict[str, str]) -> None:
        answer = self._answer
        answer.success = answer.success is not False and attributes.get("success") == "true"
        count = attributes.get("rowCountSent")
        if count is not None and not count.isdecimal():
            raise UnreadableAnswerError(
                f"{answer.method}: the answer's count of rows is no number, so it is not known "
                "whether all came. Run again later."
            )
        answer.row_count = None if count is None else int(count)

    def _end(self, _: str) -> None:
        self._path.pop()

    def _data(self, text: str) -> None:
        if self._path[1:2] == ["output"]:
            self._output(text)
        elif self._path[1:] == ["messages", "message"]:
            key, before = self._answer.messages[-1]
            self._answer.messages[-1] = (key, before + text)

    def _output(self, text: str) -> None:
        """Write the text on, but hold back white space that may be the last."""
        self._answer.quotes += text.count('"')
        if not self._answer.has_text:
            text = text.lstrip()
        kept = text.rstrip()
        if kept:
            self._text.write(self._space + kept)
            self._space, self._answer.has_text = "", True
        self._space += text[len(kept) :]

"""Making and reading XML by a library: names and passwords may hold any character."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree

if TYPE_CHECKING:
    from pathlib import Path


def element(tag: str, *children: etree._Element, **attributes: str) -> etree._Element:
    """Make an element of its attributes and children."""
    made = etree.Element(tag, attributes)
    made.extend(children)
    return made


def parse(source: Path | str | bytes) -> etree._Element:
    """Parse a small document; entities stay as they are, and nothing is fetched.

    Raises:
        lxml.etree.XMLSyntaxError: it is not XML.
    """
    parser = etree.XMLParser(
        remove_comments=True,
        remove_pis=True,
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
    )
    if isinstance(source, str | bytes):
        return etree.fromstring(source, parser)
    return etree.parse(str(source), parser).getroot()

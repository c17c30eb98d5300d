"""Quoting: the only place where names and values become SQL text."""

from __future__ import annotations


def identifier(name: str) -> str:
    """Quote a name of a schema, table or column."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote a value as text; the session has standard_conforming_strings on."""
    return "'" + value.replace("'", "''") + "'"


def typed(value: str, type_name: str) -> str:
    """Quote a value and cast it to a type, given as format_type() spells it."""
    return f"{literal(value)}::{type_name}"

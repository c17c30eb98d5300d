"""The tables of Xactly Incent: their keys, their columns, and what each kind of column becomes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib import resources
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tap_xactly import schemas
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MODIFIED = "MODIFIED_DATE"
PRECISION = 38  # digits of Arrow's decimal128 and of Snowflake's NUMBER
KINDS = ("text", "integer", "number", "date-time")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# From the fact sheet, section 7. The keys of the history tables, and of those tables that only
# GitLab's models show, are inferred; the setting `keys` replaces them.
KEYS: dict[str, tuple[str, ...]] = {
    "xc_attainment_measure": ("ATTAINMENT_MEASURE_ID",),
    "xc_attainment_measure_criteria": ("ATTAINMENT_MEASURE_CRITERIA_ID",),
    "xc_commission": ("COMMISSION_ID",),
    "xc_comp_order_item": ("COMP_ORDER_ITEM_ID",),
    "xc_comp_order_item_detail": ("COMP_ORDER_ITEM_DETAIL_ID",),
    "xc_credit": ("CREDIT_ID",),
    "xc_credit_adjustment": ("CREDIT_ADJUSTMENT_ID",),
    "xc_credit_held": ("CREDIT_HELD_ID",),
    "xc_credit_summary": (),
    "xc_credit_totals": ("CREDIT_TOTALS_ID",),
    "xc_credit_type": ("CREDIT_TYPE_ID",),
    "xc_participant": ("PARTICIPANT_ID",),
    "xc_period": ("PERIOD_ID",),
    "xc_period_type": ("PERIOD_TYPE_ID",),
    "xc_plan": ("PLAN_ID",),
    "xc_plan_approval": ("PLAN_APPROVAL_ID",),
    "xc_plan_assignment": ("PLAN_ASSIGNMENT_ID",),
    "xc_planrules": ("PLANRULES_ID",),
    "xc_pos_hierarchy": ("POS_HIERARCHY_ID",),
    "xc_pos_hierarchy_hist": ("POS_HIERARCHY_ID", "OBJECT_ID"),
    "xc_pos_hierarchy_type": ("POS_HIERARCHY_TYPE_ID",),
    "xc_pos_hierarchy_type_hist": ("POS_HIERARCHY_TYPE_ID", "OBJECT_ID"),
    "xc_pos_part_assignment": ("POS_PART_ASSIGNMENT_ID",),
    "xc_pos_part_assignment_hist": ("POS_PART_ASSIGNMENT_ID", "OBJECT_ID"),
    "xc_pos_rel_type": ("POS_REL_TYPE_ID",),
    "xc_pos_rel_type_hist": ("POS_REL_TYPE_ID", "OBJECT_ID"),
    "xc_pos_relations": ("ID",),
    "xc_pos_relations_hist": ("ID", "OBJECT_ID"),
    "xc_pos_title_assignment": ("POS_TITLE_ASSIGNMENT_ID",),
    "xc_pos_title_assignment_hist": ("POS_TITLE_ASSIGNMENT_ID", "OBJECT_ID"),
    "xc_position": ("POSITION_ID",),
    "xc_position_hist": ("POSITION_ID", "OBJECT_ID"),
    "xc_quota": ("QUOTA_ID",),
    "xc_quota_assignment": ("QUOTA_ASSIGNMENT_ID",),
    "xc_quota_assignment_hist": ("QUOTA_ASSIGNMENT_ID", "OBJECT_ID"),
    "xc_quota_hist": ("QUOTA_ID", "OBJECT_ID"),
    "xc_quota_relationship": ("QUOTA_RELATIONSHIP_ID",),
    "xc_quota_summary": (),
    "xc_quota_totals": ("QUOTA_TOTALS_ID",),
    "xc_role": ("ROLE_ID",),
    "xc_rule": ("RULE_ID",),
    "xc_user": ("USER_ID",),
}
# Deleted and created anew when a period is calculated again (section 1, item 9).
RECALCULATED = (
    "xc_commission",
    "xc_comp_order_item",
    "xc_comp_order_item_detail",
    "xc_credit",
    "xc_credit_held",
    "xc_credit_totals",
)


@dataclass(frozen=True)
class Column:
    """A column: `kind` is one of `KINDS`, `scale` the digits behind a number's point."""

    name: str
    kind: str
    description: str
    scale: int
    is_key: bool = False

    @property
    def arrow(self) -> pa.DataType:
        if self.kind == "number":
            return pa.decimal128(PRECISION, self.scale)
        types = {"integer": pa.int64(), "date-time": pa.timestamp("us", tz="UTC")}
        return types.get(self.kind, pa.string())

    @property
    def json_schema(self) -> dict[str, Any]:
        name = {"integer": "integer", "number": "number"}.get(self.kind, "string")
        schema: dict[str, Any] = {"type": [name] if self.is_key else [name, "null"]}
        if self.kind == "date-time":
            schema["format"] = "date-time"
        if self.kind == "number":
            schema["x-sql-datatype"] = f"number({PRECISION},{self.scale})"
        return {**schema, "description": self.description}


@dataclass(frozen=True)
class Table:
    """A table of the vendor, with its columns in a fixed order."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def json_schema(self) -> dict[str, Any]:
        properties = {column.name: column.json_schema for column in self.columns}
        return {"type": "object", "properties": properties}

    @property
    def is_dated(self) -> bool:
        """Whether its rows can be read in the order of their changes."""
        return bool(self.key) and any(column.name == MODIFIED for column in self.columns)

    def named(self, names: Iterable[str]) -> tuple[Column, ...]:
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in names)


def checked_name(name: str, setting: str) -> str:
    """Return a name that may stand in a statement without quotes.

    Raises:
        TapError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise TapError(
            f"The setting {setting} holds {name[:60]!r}, which is no name of a table or column. "
            "Use letters, digits and underscores."
        )
    return name


def read_table(name: str, config: Mapping[str, Any], discovered: Mapping[str, str]) -> Table:
    """Make a table out of its schema file, what was discovered, and the settings.

    Args:
        name: One of `KEYS`.
        config: The settings extra_columns, keys, text_columns and decimal_scale.
        discovered: Columns that the database showed, with their kinds.

    Raises:
        TapError: a setting holds a name or a kind that cannot be.
    """
    text = resources.files(schemas).joinpath(f"{name}.json").read_text(encoding="utf-8")
    scale = config["decimal_scale"]
    columns = {
        column: Column(column, _kind(schema), schema["description"], scale)
        for column, schema in json.loads(text)["properties"].items()
    }
    for column, kind in {**discovered, **_extra_columns(name, config)}.items():
        columns.setdefault(column, Column(column, kind, "A column of this tenant.", scale))
    key = _key(name, config, columns)
    texts = config["text_columns"]
    found = [replace(column, is_key=column.name in key) for column in columns.values()]
    return Table(
        name,
        key,
        tuple(replace(c, kind="text") if _matches(name, c.name, texts) else c for c in found),
    )


def _kind(schema: Mapping[str, Any]) -> str:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if schema.get("format") == "date-time":
        return "date-time"
    return "text" if types[0] == "string" else str(types[0])


def _extra_columns(table: str, config: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name, kind in config["extra_columns"].get(table, {}).items():
        if kind not in KINDS:
            raise TapError(
                f"The setting extra_columns gives {table}.{name[:60]} a kind that does not exist. "
                f"Use {', '.join(KINDS)}."
            )
        found[checked_name(name, "extra_columns").upper()] = str(kind)
    return found


def _key(table: str, config: Mapping[str, Any], columns: Mapping[str, Column]) -> tuple[str, ...]:
    names = config["keys"].get(table, KEYS[table])
    key = tuple(checked_name(name, "keys").upper() for name in names)
    if missing := [name for name in key if name not in columns]:
        raise TapError(
            f"The setting keys names {', '.join(missing)}, and {table} has no such column. "
            "Correct it, or add the column to extra_columns."
        )
    return key


def _matches(table: str, column: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(f"{table}.{column}".upper(), p.upper()) for p in patterns)

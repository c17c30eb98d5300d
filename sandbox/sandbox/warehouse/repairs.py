"""Replacements for functions of fakesnow 0.12 that are wrong; each says how."""

from __future__ import annotations

from pathlib import Path

import fakesnow.arrow
import fakesnow.copy_into
import fakesnow.transforms
import pyarrow as pa
from fakesnow.transforms import stage
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

Type = exp.DataType.Type
INTEGERS = (Type.TINYINT, Type.SMALLINT, Type.INT, Type.BIGINT, Type.DECIMAL)

_integer_precision = fakesnow.transforms.integer_precision
_put_stage = fakesnow.transforms.put_stage
_source_urls = fakesnow.copy_into._source_urls  # noqa: SLF001 - what we repair
_timestamps = fakesnow.arrow.timestamp_to_sf_struct


def install() -> None:
    """Put the replacements in place, for this process."""
    fakesnow.transforms.integer_precision = integer_precision
    fakesnow.transforms.put_stage = put_stage
    fakesnow.copy_into._source_urls = source_urls  # noqa: SLF001 - what we repair
    fakesnow.arrow.timestamp_to_sf_struct = timestamps
    fakesnow.transforms.merge = merge


def integer_precision(expression: exp.Expr) -> exp.Expr:
    """Give integer columns Snowflake's 38 digits; fakesnow gives them BIGINT's 19."""
    is_column = isinstance(expression.parent, exp.ColumnDef | exp.AlterColumn)
    is_integer = isinstance(expression, exp.DataType) and expression.this in INTEGERS
    if is_column and is_integer:
        return expression if expression.expressions else exp.DataType.build("DECIMAL(38, 0)")
    repaired: exp.Expr = _integer_precision(expression)
    return repaired


def put_stage(expression: exp.Expr, *args: object) -> exp.Expr:
    """Leave PUT's path as it is written; fakesnow decodes it as a URL."""
    repaired: exp.Expr = _put_stage(expression, *args)
    if isinstance(expression, exp.Put):
        path = expression.this.name.removeprefix("file://")
        repaired.args["put_stage_data"]["src_locations"] = [path]
    return repaired


def source_urls(source: str, files: list[str]) -> list[str]:
    """Resolve COPY's FILES in an internal stage; fakesnow takes them for malformed URLs."""
    if not stage.is_internal(source):
        urls: list[str] = _source_urls(source, files)
        return urls
    paths = [source + name for name in files]
    for path in paths:
        if not Path(path).exists():
            raise ProgrammingError(
                msg=f"Remote file '{path}' was not found. There are several potential causes. "
                "The file might not exist.",
                errno=91016,
                sqlstate="22000",
            )
    return paths


def timestamps(column: pa.Array | pa.ChunkedArray) -> pa.StructArray:
    """Keep NULL timestamps NULL; fakesnow answers 1970-01-01."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    structs = _timestamps(column)
    children = [structs.field(i) for i in range(structs.type.num_fields)]
    return pa.StructArray.from_arrays(children, fields=list(structs.type), mask=column.is_null())


def merge(statement: exp.Expr) -> list[exp.Expr]:
    """Leave MERGE to DuckDB, which has it since 1.4.

    fakesnow takes it apart: it loses columns used inside expressions, and fails in a transaction
    that wrote before. Its counts come from RETURNING (see `Cursor`).
    """
    if not isinstance(statement, exp.Merge):
        return [statement]
    for when in statement.args["whens"].expressions:
        then = when.args["then"]
        assigned = [e.this for e in then.expressions] if isinstance(then, exp.Update) else []
        inserted = then.this.expressions if isinstance(then, exp.Insert) and then.this else []
        for column in (*assigned, *inserted):
            column.set("table", None)  # DuckDB refuses `SET t.a = ...`
    statement.set("returning", exp.Returning(expressions=[exp.column("merge_action")]))
    return [statement]

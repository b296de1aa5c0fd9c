"""Where in a source a look into the future may be: the usual ways, found in its syntax tree."""

from __future__ import annotations

import ast
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suspect:
    """A line that may take a value from a later bar."""

    line: int
    text: str
    why: str


def find_suspect(source: str) -> Suspect | None:
    """The first line of `source`, which parses, that is written in one of the usual ways."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.expr)]
    found = [(node, why) for node in nodes if (why := _why(node))]
    if not found:
        return None
    node, why = min(found, key=lambda each: (each[0].lineno, each[0].col_offset))
    return Suspect(node.lineno, (ast.get_source_segment(source, node) or "")[:80], why)


def _why(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _why_subscript(node)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    if node.func.attr in {"bfill", "backfill"}:
        return "fills a bar from a later one"
    if node.func.attr in {"shift", "diff", "pct_change", "roll"} and any(map(_is_negative, _values(node))):
        return "takes a later bar"
    if node.func.attr == "rolling" and any(word.arg == "center" and _is_true(word.value) for word in node.keywords):
        return "is centred, so that half of its window lies ahead"
    return ""


def _why_subscript(node: ast.Subscript) -> str:
    if isinstance(node.slice, ast.Slice):
        return "turns time round" if node.slice.step is not None and _is_negative(node.slice.step) else ""
    is_iloc = isinstance(node.value, ast.Attribute) and node.value.attr == "iloc"
    return "is the last of all bars" if is_iloc and _is_negative(node.slice) else ""


def _values(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(word.value for word in call.keywords)]


def _is_negative(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True

"""Where in a source a look into the future may be: the usual ways, found in its syntax tree.

They are no proof: an honest strategy may be written in any of these ways. What decides is the check of its weights.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

MOST_SUSPECTS = 5

# Of a whole column they know its end.
OVER_ALL = frozenset(
    {"max", "min", "mean", "median", "std", "var", "sum", "quantile", "idxmax", "idxmin", "argmax", "argmin", "rank"}
)
MODULES = frozenset({"np", "numpy"})
COLUMNS = frozenset({"open", "high", "low", "close", "volume"})


@dataclass(frozen=True, slots=True)
class Suspect:
    """A line that may take a value from a later bar."""

    line: int
    text: str
    why: str


def find_suspects(source: str) -> list[Suspect]:
    """The first lines of `source`, which parses, that are written in one of the usual ways, one for each line."""
    tree = ast.parse(source)
    columns = _columns(tree)
    found: dict[int, tuple[ast.expr, str]] = {}
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr)]
    for node in sorted(nodes, key=lambda each: (each.lineno, each.col_offset)):
        if why := _why(node, columns):
            found.setdefault(node.lineno, (node, why))
    return [
        Suspect(line, (ast.get_source_segment(source, node) or "")[:80], why)
        for line, (node, why) in list(found.items())[:MOST_SUSPECTS]
    ]


def suspicion(suspect: Suspect) -> str:
    """What to say of it where the check of the weights found nothing."""
    return (
        f"Line {suspect.line}: `{suspect.text}` {suspect.why}. The look-ahead check found no weight that depends on later "
        "bars, but it tries only some; make sure that no decision uses what is not known yet."
    )


def _columns(tree: ast.AST) -> set[str]:
    """Names that a whole column of the bars is given."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_column(node.value, set())
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _is_column(node: ast.expr, names: set[str]) -> bool:
    """`close`, where it was given one, `bars["close"]` or `bars.close`."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Attribute):
        return node.attr in COLUMNS or (node.attr in {"values", "array"} and _is_column(node.value, names))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "to_numpy" and _is_column(node.func.value, names)
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value in COLUMNS


def _why(node: ast.expr, columns: set[str]) -> str:
    if isinstance(node, ast.Subscript):
        return _why_subscript(node)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    if node.func.attr in OVER_ALL and any(_is_column(each, columns) for each in _over(node, node.func)):
        return "is a figure over all bars, later ones too"
    return _why_method(node, node.func.attr)


def _why_method(call: ast.Call, name: str) -> str:
    if name in {"bfill", "backfill"}:
        return "fills a bar from a later one"
    if name in {"shift", "diff", "pct_change", "roll"} and any(map(_is_negative, _values(call))):
        return "takes a later bar"
    if name == "rolling" and any(word.arg == "center" and _is_true(word.value) for word in call.keywords):
        return "is centred, so that half of its window lies ahead"
    return ""


def _over(call: ast.Call, function: ast.Attribute) -> Iterator[ast.expr]:
    """What the figure is over: `close.max()`, `np.max(close)`."""
    if isinstance(function.value, ast.Name) and function.value.id in MODULES:
        yield from call.args[:1]
    else:
        yield function.value


def _why_subscript(node: ast.Subscript) -> str:
    if isinstance(node.slice, ast.Slice):
        return "turns time round" if node.slice.step is not None and _is_negative(node.slice.step) else ""
    if isinstance(node.ctx, ast.Load) and _is_later(node.slice):
        return "takes a later bar"
    is_iloc = isinstance(node.value, ast.Attribute) and node.value.attr == "iloc"
    return "is the last of all bars" if is_iloc and _is_negative(node.slice) else ""


def _is_later(node: ast.expr) -> bool:
    """`i + 1`."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add)
        and any(isinstance(each, ast.Constant) and each.value in (1, 2, 3, 4, 5) for each in (node.left, node.right))
    )


def _values(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(word.value for word in call.keywords)]


def _is_negative(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True

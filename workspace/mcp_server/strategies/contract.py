"""What a strategy's source must hold, read from its syntax tree without running it.

    def signals(bars, fast=10, slow=30):
        ...
        return weights

`bars` is a pandas DataFrame: index = the bars' times, columns open, high, low, close, volume. With a module-level
`SYMBOLS = ["SPX", "IXIC"]` it is a dict of such frames by symbol, all over the same times. `signals` returns the target
weight per bar in [-1, 1]. The other arguments are the strategy's parameters, each with a plain default.
These checks are for the author's sake. What keeps the code in its place is the sandbox.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeGuard

from mcp_server.errors import BadStrategyParams
from mcp_server.jobs.contract import STRATEGY_FILE

FUNCTION = "signals"

SOURCE_CHARACTERS = 64 * 1024
MOST_PARAMS = 32
MOST_SYMBOLS = 10
DESCRIPTION_CHARACTERS = 500

# What JSON carries exactly through every client (RFC 8259, section 6).
LARGEST_INTEGER = 2**53 - 1

Plain = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and how to mend it; `name` is stable, `line` and `column` count from 1."""

    name: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = "" if self.line is None else f" line {self.line}:"
        return f"{self.name}:{where} {self.message}"


@dataclass(frozen=True, slots=True)
class Contract:
    """What a source declares. `any_params`: it takes `**params`, so names beside `params` are passed on too.

    `answer_line` is where `signals` returns, for what is wrong with its answer.
    """

    params: Mapping[str, Plain]
    any_params: bool
    symbols: tuple[str, ...]
    description: str
    problems: tuple[Problem, ...]
    answer_line: int | None = None


@lru_cache(maxsize=64)
def read_contract(source: str) -> Contract:
    """Read what `source` declares; what is wrong with it is in `problems`."""
    if "\0" in source:
        line = source[: source.index("\0")].count("\n") + 1
        return _unreadable(Problem("SyntaxError", "The source holds a null character. Take it out.", line))
    try:
        tree = ast.parse(source, STRATEGY_FILE)
        compile(source, STRATEGY_FILE, "exec", dont_inherit=True)
    except SyntaxError as error:
        return _unreadable(_syntax_problem(error, source))
    except (ValueError, RecursionError, MemoryError):
        message = (
            "Python can't compile the source: it nests too deeply, or a number in it is too long. Write it more simply."
        )
        return _unreadable(Problem("SyntaxError", message))
    return _read(tree)


def resolve_params(contract: Contract, given: Mapping[str, Any]) -> dict[str, Plain]:
    """All parameters, those not given at their default. Raises BadStrategyParams."""
    unknown = [name for name in given if name not in contract.params]
    if unknown and not contract.any_params:
        known = ", ".join(contract.params) or "none"
        raise BadStrategyParams(f"The strategy has no parameter {unknown[0][:40]!r}. There are: {known}.")
    return {
        **{name: _fitting(name, given.get(name, default), default) for name, default in contract.params.items()},
        **{name: given[name] for name in unknown},
    }


def _fitting(name: str, value: Any, default: Plain) -> Plain:
    """`value` in the type of the default: 10 for 10.0 and the other way round, nothing else is turned."""
    if isinstance(default, bool) or isinstance(value, bool) or isinstance(default, str):
        if type(value) is type(default):
            return value
    elif _is_plain(value) and not isinstance(value, str):
        if isinstance(default, float):
            return float(value)
        if value == int(value):
            return int(value)
    kind = type(default).__name__
    raise BadStrategyParams(f"{name} is {value!r:.40}; its default {default!r:.40} says that it is {kind}.")


def _unreadable(problem: Problem) -> Contract:
    return Contract({}, any_params=False, symbols=(), description="", problems=(problem,))


def _syntax_problem(error: SyntaxError, source: str) -> Problem:
    lines = source.splitlines()
    line = min(error.lineno or 1, max(len(lines), 1))
    text = lines[line - 1].strip()[:120] if lines else ""
    return Problem("SyntaxError", f"{error.msg} in `{text}`. Mend this line.", line, error.offset or None)


def _read(tree: ast.Module) -> Contract:
    problems: list[Problem] = []
    function = _find_signals(tree, problems)
    params = {} if function is None else _params(function, problems)
    symbols = _symbols(tree, problems)
    return Contract(
        params=params,
        any_params=function is not None and function.args.kwarg is not None,
        symbols=symbols,
        description=_description(tree, function),
        problems=tuple(problems),
        answer_line=None if function is None else _answer_line(function),
    )


def _answer_line(function: ast.FunctionDef) -> int:
    returns = [node.lineno for node in ast.walk(function) if isinstance(node, ast.Return)]
    return max(returns, default=function.lineno)


def _find_signals(tree: ast.Module, problems: list[Problem]) -> ast.FunctionDef | None:
    for node in reversed(tree.body):
        if isinstance(node, ast.FunctionDef) and node.name == FUNCTION:
            return node
        if isinstance(node, ast.AsyncFunctionDef | ast.ClassDef) and node.name == FUNCTION:
            problems.append(
                Problem("NotAFunction", "signals must be a plain function: `def signals(bars):`.", node.lineno)
            )
            return None
    close = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.lower().startswith("signal")]
    hint = f" Rename {close[0].name} to signals." if close else ""
    message = f"There is no function signals at the top level. Define `def signals(bars, fast=10): ...`.{hint}"
    problems.append(Problem("NoSignals", message, close[0].lineno if close else 1))
    return None


def _params(function: ast.FunctionDef, problems: list[Problem]) -> dict[str, Plain]:
    positional = [*function.args.posonlyargs, *function.args.args]
    if not positional or len(function.args.defaults) == len(positional):
        problems.append(
            Problem("NoBars", "signals needs `bars` as its first argument, without a default.", function.lineno)
        )
    if function.args.vararg is not None:
        message = f"*{function.args.vararg.arg} is not filled. Name each parameter: `fast=10`."
        problems.append(Problem("BadParameter", message, function.args.vararg.lineno))
    found: dict[str, Plain] = {}
    for argument, default in _with_defaults(function.args):
        value = None if default is None else _literal(default)
        if _is_plain(value):
            found[argument.arg] = value
        else:
            name = argument.arg
            message = f"Parameter {name} needs a default that is a number, True, False or text: `{name}=10`."
            problems.append(Problem("BadParameter", message, argument.lineno, argument.col_offset + 1))
    if len(found) > MOST_PARAMS:
        problems.append(Problem("BadParameter", f"signals has more than {MOST_PARAMS} parameters.", function.lineno))
    return found


def _with_defaults(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Every parameter after `bars` with its default."""
    positional = [*arguments.posonlyargs, *arguments.args]
    missing = [None] * (len(positional) - len(arguments.defaults))
    yield from list(zip(positional, [*missing, *arguments.defaults], strict=True))[1:]
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)


def _symbols(tree: ast.Module, problems: list[Problem]) -> tuple[str, ...]:
    assigned = _assigned(tree, "SYMBOLS")
    if assigned is None:
        return ()
    value = _literal(assigned)
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_SYMBOLS or not all(map(_is_symbol, value)):
        message = f'SYMBOLS must be a list of 1 to {MOST_SYMBOLS} symbols in quotes: `SYMBOLS = ["SPX", "IXIC"]`.'
        problems.append(Problem("BadSymbols", message, assigned.lineno))
        return ()
    names = tuple(dict.fromkeys(value))
    if len({name.casefold() for name in names}) < len(names):
        problems.append(Problem("BadSymbols", "SYMBOLS names one symbol twice, in other letters.", assigned.lineno))
    return names


def _description(tree: ast.Module, function: ast.FunctionDef | None) -> str:
    assigned = _assigned(tree, "DESCRIPTION")
    declared = None if assigned is None else _literal(assigned)
    text = (
        declared if isinstance(declared, str) else ast.get_docstring(tree) or (function and ast.get_docstring(function))
    )
    first = (text or "").strip().split("\n\n")[0]
    return " ".join(first.split())[:DESCRIPTION_CHARACTERS]


def _assigned(tree: ast.Module, name: str) -> ast.expr | None:
    """What a module-level name is set to last."""
    found = None
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in _names(node):
            found = node.value
    return found


def _names(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _is_plain(value: Any) -> TypeGuard[Plain]:
    if isinstance(value, int):
        return abs(value) <= LARGEST_INTEGER
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _is_symbol(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 64

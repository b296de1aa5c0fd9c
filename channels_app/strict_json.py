"""Read JSON that a stranger wrote: what PostgreSQL or a peer could not hold is refused here, never met later."""

import json
import math
from collections.abc import Iterator
from typing import Any

# Longer than any 64-bit number; beyond 4,300 digits int() itself raises.
MAX_DIGITS = 20
# Deeper than any frame or vendor's update; json's own limit is the interpreter's stack.
MAX_DEPTH = 64


class BadJSON(ValueError):
    """The text is not JSON that can be used; the message says why, in words for its author."""


def loads(text: str | bytes) -> Any:
    """The value of a JSON text of RFC 8259, UTF-8.

    Raises BadJSON for what Python's reader lets through or stumbles over: NaN and infinities, a key given twice, numbers of
    more than 20 digits, lone surrogates, NUL characters, nesting deeper than 64.
    """
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
        check(value)
    except BadJSON:
        raise
    except UnicodeError as error:
        raise BadJSON("The text is not valid Unicode.") from error
    except RecursionError as error:
        raise BadJSON("The JSON is nested too deeply.") from error
    except ValueError as error:
        raise BadJSON("This is not valid JSON.") from error
    return value


def check(value: Any) -> None:
    """Raise BadJSON for a value that was read elsewhere and holds a NUL or a lone surrogate, or is nested deeper than 64."""
    for string in _strings(value):
        if "\0" in string:
            raise BadJSON("A text holds a NUL character.")
        try:
            string.encode("utf-8")
        except UnicodeEncodeError as error:
            raise BadJSON("The text is not valid Unicode.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJSON("An object holds a key twice.")
    return found


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise BadJSON("A number is too long.")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadJSON("A number is too large.")
    return number


def _constant(name: str) -> float:
    raise BadJSON(f"{name} is not JSON.")


def _strings(value: Any) -> Iterator[str]:
    """Every text in `value`, keys included. Raises BadJSON where it is nested too deeply."""
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise BadJSON("The JSON is nested too deeply.")
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from item
            waiting.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            waiting.extend((child, depth + 1) for child in item)

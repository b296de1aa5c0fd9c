"""JSON Schemas that others have written, such as a user's own server: what they may cost us, and what they say of values."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from agents.errors import UntameSchema

JSON = dict[str, Any]

# Levels of objects and lists, each reference one more. A model's arguments have a handful; a thousand would end the stack.
MOST_LEVELS = 24

# Words that point elsewhere, or change what others point to. `$ref` alone is followed, to the document's own definitions.
_POINTERS = frozenset({"$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor", "$id", "$schema"})
_OF_A_DOCUMENT = frozenset({"$id", "$schema", "$defs"})
# One step, spelt as it is: what expands a schema for a model decodes nothing.
_REFERENCE = re.compile(r"#/\$defs/([^/~%]+)")


@dataclass(frozen=True, slots=True)
class _Size:
    chars: int
    levels: int


@dataclass(slots=True)
class _Measure:
    """Sizes of parts with every reference replaced by what it names; each definition is walked once.

    Without that a chain of definitions, each naming the next one twice, doubles with every link.
    """

    definitions: JSON
    sizes: dict[str, _Size | None] = field(default_factory=dict)

    def of(self, node: object, *, depth: int) -> _Size:
        if depth > MOST_LEVELS:
            raise UntameSchema
        if isinstance(node, dict):
            parts = [self._entry(key, value, depth=depth + 1) for key, value in node.items()]
        elif isinstance(node, list):
            parts = [self.of(each, depth=depth + 1) for each in node]
        else:
            return _Size(len(json.dumps(node)), 0)
        return _Size(2 + sum(each.chars for each in parts), 1 + max((each.levels for each in parts), default=0))

    def _entry(self, key: str, value: object, *, depth: int) -> _Size:
        # Under `properties` these may be names, and then what they name is no text.
        if key in _POINTERS and isinstance(value, str):
            raise UntameSchema
        part = self.named(value, depth=depth) if key == "$ref" else self.of(value, depth=depth)
        return _Size(len(key) + 4 + part.chars, part.levels)

    def named(self, reference: object, *, depth: int) -> _Size:
        found = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
        if found is None or found[1] not in self.definitions:
            raise UntameSchema
        name = found[1]
        if name not in self.sizes:
            self.sizes[name] = None
            self.sizes[name] = self.of(self.definitions[name], depth=depth)
        size = self.sizes[name]
        # Where it is still being measured, it names itself.
        if size is None or depth + size.levels > MOST_LEVELS:
            raise UntameSchema
        return size


def expanded_chars(schema: JSON) -> int:
    """How long the schema is, about, with every reference replaced by what it names; it takes one look at each part.

    Raises UntameSchema for one with a reference that leaves it, names nothing or comes back to itself, or that is too deep.
    """
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, dict):
        raise UntameSchema
    measure = _Measure(definitions)
    for name in definitions:
        # Those that nothing names, too: they are checked and copied.
        if name not in measure.sizes:
            measure.sizes[name] = measure.of(definitions[name], depth=2)
    return measure.of({key: part for key, part in schema.items() if key not in _OF_A_DOCUMENT}, depth=0).chars


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a value: where, step by step, and in words."""

    path: tuple[str, ...]
    message: str


def fault_of(value: object, schema: JSON) -> Fault | None:
    """The most telling fault of a value by a schema; None when it fits.

    Patterns are left to whoever wrote them, and so is what no other word has looked at: both can take for ever.
    """
    try:
        # An empty registry: a reference never leaves the document.
        error = best_match(_Checks(schema, registry=Registry()).iter_errors(value))
    except Unresolvable:
        return Fault((), "The schema has a reference that leads nowhere.")
    return None if error is None else Fault(tuple(str(step) for step in error.absolute_path), str(error.message))


def _unchecked(_checks: Any, _said: Any, _value: Any, _schema: JSON) -> Iterator[ValidationError]:
    """A word of which nothing is made."""
    return iter(())


def _no_others(  # noqa: PLR0917 - jsonschema calls it so
    checks: Any, others: Any, value: Any, schema: JSON
) -> Iterator[ValidationError]:
    """`additionalProperties`, but for names that a pattern may allow."""
    if "patternProperties" not in schema:
        yield from Draft202012Validator.VALIDATORS["additionalProperties"](checks, others, value, schema)


# Python's re goes back and forth over `(a+)+$` for ever; each level of `unevaluated…` looks again at all levels below.
_Checks = extend(
    Draft202012Validator,
    {
        "additionalProperties": _no_others,
        "pattern": _unchecked,
        "patternProperties": _unchecked,
        "unevaluatedItems": _unchecked,
        "unevaluatedProperties": _unchecked,
    },
)

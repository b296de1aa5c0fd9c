"""The answers of a question: checked against its JSON Schema, and read from what somebody types."""

import json
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from agents.errors import UntameSchema
from agents.schemas import expanded_chars, fault_of

JSON = dict[str, Any]
# More than a person fills in; a schema comes from a tool.
MOST_FIELDS = 20
MOST_SCHEMA_CHARS = 16 * 1024
MOST_VALUES_CHARS = 32 * 1024
# What a chat's row of buttons holds.
MOST_CHOICES = 12
_YES, _NO = frozenset({"yes", "true", "y", "1", "on"}), frozenset({"no", "false", "n", "0", "off"})


@dataclass(frozen=True, slots=True)
class Field:
    """One value that is asked for; `choices` are the values of an enum, with what each is called."""

    name: str
    title: str
    kind: str
    required: bool
    choices: tuple[tuple[Any, str], ...] = ()


def schema_fault(schema: JSON) -> str | None:
    """Why a schema can't be a form: it must describe a flat object, without references; None when it can."""
    if len(json.dumps(schema)) > MOST_SCHEMA_CHARS:
        return "The schema is too large."
    properties = schema.get("properties", {})
    if schema.get("type") != "object" or not isinstance(properties, dict) or len(properties) > MOST_FIELDS:
        return f"The schema is not of an object with at most {MOST_FIELDS} properties."
    if "$ref" in json.dumps(schema):
        return "The schema holds references."
    try:
        expanded_chars(schema)
        Draft202012Validator.check_schema(schema)
    except UntameSchema:
        return "The schema is too deep, or holds references."
    except SchemaError:
        return "The schema is no JSON Schema."
    return None


def complaint(schema: JSON, values: JSON) -> str | None:
    """Why the values don't answer the question, in words for the user; None when they do."""
    if len(json.dumps(values)) > MOST_VALUES_CHARS:
        return "The answer is too long."
    fault = fault_of(values, schema)
    if fault is None:
        return None
    where = ".".join(fault.path)
    return f"{where + ': ' if where else ''}{fault.message[:300]}"


def fields(schema: JSON) -> list[Field]:
    """The values that a form asks for, in the schema's order."""
    required = schema.get("required", [])
    return [
        Field(name, str(spec.get("title") or name), _kind(spec), name in required, _choices(spec))
        for name, spec in schema.get("properties", {}).items()
        if isinstance(spec, dict)
    ]


def buttons(schema: JSON) -> list[tuple[str, JSON]]:
    """What to put on buttons, and the values that each gives: where one value is asked for, of few; else none."""
    asked = fields(schema)
    if len(asked) != 1:
        return []
    if asked[0].kind == "boolean":
        return [("Yes", {asked[0].name: True}), ("No", {asked[0].name: False})]
    choices = asked[0].choices
    return [(label, {asked[0].name: value}) for value, label in choices] if len(choices) <= MOST_CHOICES else []


def typed_form(schema: JSON, *, code: str) -> str:
    """What to type for the question of that code, a line for each value, as a block of markdown."""
    lines = "\n".join(f"{each.name}: …" for each in fields(schema))
    return f"```\n/answer {code}\n{lines}\n```"


def read_typed(schema: JSON, text: str) -> JSON:
    """What somebody typed as values: one value as it is, several as lines of `name: value`. It may not fit the schema."""
    asked = fields(schema)
    if len(asked) == 1:
        return {asked[0].name: _value(asked[0], text.strip())}
    by_name = {name.lower(): field for field in asked for name in (field.name, field.title)}
    values: JSON = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        field = by_name.get(name.strip().lower())
        if field is not None:
            values[field.name] = _value(field, value.strip())
    return values


def _kind(spec: JSON) -> str:
    kind = spec.get("type")
    return kind if isinstance(kind, str) else "string"


def _choices(spec: JSON) -> tuple[tuple[Any, str], ...]:
    if isinstance(named := spec.get("oneOf"), list):
        return tuple((each["const"], str(each.get("title", each["const"]))) for each in named if "const" in each)
    listed = spec.get("enum")
    if not isinstance(listed, list):
        return ()
    # MCP's older form of an elicitation names the values of an enum beside it.
    names = spec.get("enumNames")
    named_ = names if isinstance(names, list) and len(names) == len(listed) else listed
    return tuple((value, str(name)) for value, name in zip(listed, named_, strict=True))


def _value(field: Field, text: str) -> Any:
    for value, label in field.choices:
        if text.lower() in {label.lower(), str(value).lower()}:
            return value
    if field.kind == "boolean" and text.lower() in _YES | _NO:
        return text.lower() in _YES
    if field.kind in {"integer", "number"}:
        return _number(text)
    return text


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number - number == 0 else text

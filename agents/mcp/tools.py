"""A server's tools as a model sees them and as we check them."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mcp_types
import structlog
from jsonschema import Draft202012Validator, SchemaError
from langchain_core.utils.json_schema import dereference_refs

from agents.errors import UntameSchema
from agents.markup import clean
from agents.mcp.limits import EXPANDED_TOOL_CHARS, EXPANDED_TOOLS_CHARS, TOOL_SCHEMA_BYTES
from agents.schemas import expanded_chars, fault_of

log = structlog.get_logger(__name__)
JSON = dict[str, Any]

# Two underscores: the one separator that every provider's rule for names allows.
NAMESPACE = "workspace__"

# Tools that the gateway calls for itself: a model that may rewrite the record of the conversation, or erase the user's
# data or deploy without being asked about it, is one prompt injection away from doing so.
GATEWAY_ONLY = frozenset(
    {
        "append_messages",
        "delete_conversation",
        "delete_data",
        "deploy_strategy",
        "export_data",
        "get_conversation",
        "import_data",
        "list_conversations",
        "set_summary",
    }
)

IDEMPOTENCY_KEY = "idempotency_key"

# OpenAI's rule for function names, the narrowest: 64 characters with the namespace.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,53}")

_DESCRIPTION_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `repeatable`: a call that may have been lost can be sent again; `reads`: it changes nothing."""

    name: str
    description: str
    schema: JSON
    repeatable: bool
    reads: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of its definition."""
        definition = [self.name, self.description, self.schema, self.repeatable, self.reads]
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()

    @property
    def keyed(self) -> bool:
        """Whether it takes an idempotency key, which is the gateway's to give."""
        return IDEMPOTENCY_KEY in self.schema.get("properties", {})

    @property
    def model_name(self) -> str:
        """The name under which a model calls it."""
        return NAMESPACE + self.name

    def for_model(self) -> JSON:
        """The definition in OpenAI's format, which all of LangChain's packages take."""
        # Gemini and some compatible servers refuse a schema with references.
        parameters = dereference_refs(self.schema)
        parameters.pop("$defs", None)
        if self.keyed:
            kept = {name: spec for name, spec in parameters["properties"].items() if name != IDEMPOTENCY_KEY}
            required = [name for name in parameters.get("required", ()) if name != IDEMPOTENCY_KEY]
            parameters = {**parameters, "properties": kept, "required": required}
        function = {"name": self.model_name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}

    def complaint(self, arguments: JSON) -> str | None:
        """Why the arguments don't fit the tool's schema, in words for the model; None when they do."""
        fault = fault_of(arguments, self.schema)
        if fault is None:
            return None
        where = "/".join(fault.path)
        return f"Wrong arguments for {self.model_name}: {where + ': ' if where else ''}{fault.message[:500]}"


@dataclass(frozen=True, slots=True)
class ToolSet:
    """A server's usable tools in its order. Two servers with the same tools share one set."""

    tools: tuple[Tool, ...]
    digest: str

    def offered(self) -> list[Tool]:
        """Those that a model may call."""
        return [tool for tool in self.tools if tool.name not in GATEWAY_ONLY]

    def by_model_name(self, name: str) -> Tool | None:
        """The offered tool that a model means."""
        return next((tool for tool in self.offered() if tool.model_name == name), None)

    def named(self, name: str) -> Tool | None:
        """The tool `name`."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def has(self, name: str) -> bool:
        """Whether the server has the tool `name`."""
        return any(tool.name == name for tool in self.tools)

    def repeatable(self, name: str) -> bool:
        """Whether a lost call of the tool `name` can be sent again."""
        return any(tool.repeatable for tool in self.tools if tool.name == name)


def tool_set(listed: Sequence[mcp_types.Tool]) -> ToolSet:
    """The usable ones of a listing; a tool with an unusable name or schema is left out and logged."""
    records = [
        {
            "name": tool.name,
            "description": clean(tool.description or "")[:_DESCRIPTION_CHARACTERS],
            "schema": tool.input_schema,
            "repeatable": _repeatable(tool.annotations),
            "reads": tool.annotations is not None and bool(tool.annotations.read_only_hint),
        }
        for tool in listed
    ]
    return _tool_set(json.dumps(records, sort_keys=True, separators=(",", ":")))


@lru_cache(maxsize=64)
def _tool_set(canonical: str) -> ToolSet:
    tools: dict[str, Tool] = {}
    listed_chars = 0
    for record in json.loads(canonical):
        chars = _expanded(record["schema"])
        listed_chars += chars or 0
        tame = chars is not None and listed_chars <= EXPANDED_TOOLS_CHARS
        problem = _problem(record["name"], record["schema"], tame=tame)
        if problem or record["name"] in tools:
            log.warning("tool_left_out", tool=record["name"][:60], problem=problem or "named twice")
            continue
        tools[record["name"]] = Tool(**record)
    return ToolSet(tuple(tools.values()), hashlib.sha256(canonical.encode()).hexdigest())


def _repeatable(hints: mcp_types.ToolAnnotations | None) -> bool:
    return hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)


def _expanded(schema: JSON) -> int | None:
    """Its length for a model; None for one that no model gets to see."""
    if len(json.dumps(schema)) > TOOL_SCHEMA_BYTES:
        return None
    try:
        chars = expanded_chars(schema)
    except UntameSchema:
        return None
    return chars if chars <= EXPANDED_TOOL_CHARS else None


def _problem(name: str, schema: JSON, *, tame: bool) -> str | None:
    if not _NAME.fullmatch(name):
        return "name"
    if schema.get("type") != "object":
        return "schema not of an object"
    if not tame:
        return "schema too large or too deep, or with a reference that leaves it, names nothing or comes back to itself"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return "not a JSON Schema"
    return None

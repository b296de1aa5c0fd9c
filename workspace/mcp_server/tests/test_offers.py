"""What every tool and resource has to have, whichever it is; a tool added later is checked by the same tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp_types import Resource, ResourceTemplate, Tool

from mcp_server.server import offers
from mcp_server.tests.harness import RunningServer
from mcp_server.tools.offer import tool_of
from mcp_server.workspace import open_workspace

# Required arguments, then optional ones. Source: DESIGN.md, section 7.
CONTRACT = {
    "list_instruments": ((), ()),
    "get_bars": (("symbol",), ("interval", "start", "end", "limit")),
    "import_bars": (("symbol", "csv"), ()),
    "import_parquet": (("symbol", "parquet_base64"), ()),
    "list_indicators": ((), ("category",)),
    "compute_indicators": (("symbol", "indicators"), ("interval", "start", "end", "limit", "chart")),
    "list_strategies": ((), ()),
    "get_strategy": (("name",), ("version", "diff_from")),
    "save_strategy": (("name", "source"), ("description",)),
    "delete_strategy": (("name",), ()),
    "restore_strategy": (("name",), ()),
    "validate_strategy": (("source",), ()),
    "deploy_strategy": (
        ("strategy", "symbol", "idempotency_key"),
        ("params", "interval", "fee_bps", "slippage_bps", "keep_running"),
    ),
    "list_deployments": ((), ()),
    "stop_deployment": (("id",), ()),
    "run_backtest": (
        ("strategy", "symbol"),
        ("start", "end", "interval", "params", "fee_bps", "slippage_bps", "out_of_sample_percent", "folds"),
    ),
    "get_backtest": (("id",), ()),
    "sweep_strategy": (
        ("strategy", "symbol", "grid"),
        ("metric", "start", "end", "interval", "fee_bps", "slippage_bps", "out_of_sample_percent", "folds"),
    ),
    "assess_risk": (("backtest",), ()),
    "remember": (("content",), ("tags",)),
    "search_memory": (("query",), ("limit",)),
    "forget": (("id",), ()),
    "list_memories": ((), ()),
    "add_document": (("name", "content_base64"), ()),
    "search_documents": (("query",), ("limit",)),
    "list_documents": ((), ()),
    "delete_document": (("name",), ()),
    "append_messages": (("conversation", "turn", "messages"), ()),
    "list_conversations": ((), ()),
    "get_conversation": (("conversation",), ("before", "limit")),
    "set_summary": (("conversation", "summary", "up_to"), ()),
    "delete_conversation": (("conversation",), ()),
    "get_preferences": ((), ()),
    "set_preferences": (("values",), ()),
    "export_data": ((), ()),
    "import_data": (("archive_base64",), ()),
    "delete_data": (("confirm",), ()),
}
# Tools that find a symbol such as binance:BTC/USDT.
ASKS_EXCHANGES = {
    *("get_bars", "compute_indicators", "validate_strategy", "deploy_strategy"),
    *("run_backtest", "sweep_strategy"),
}
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "tools.md"


@pytest.fixture(scope="module")
def tools(server: RunningServer) -> dict[str, Tool]:
    """The tools as a client lists them."""

    async def listed() -> dict[str, Tool]:
        async with server.client() as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    return asyncio.run(listed())


def arguments_of(tool: Tool) -> dict[str, dict[str, Any]]:
    properties: dict[str, dict[str, Any]] = tool.input_schema["properties"]
    return properties


async def test_the_tools_are_those_of_the_contract(tools: dict[str, Tool]) -> None:
    listed = {
        name: (set(tool.input_schema.get("required", ())), set(arguments_of(tool))) for name, tool in tools.items()
    }

    assert listed == {name: (set(required), {*required, *optional}) for name, (required, optional) in CONTRACT.items()}


async def test_every_tool_describes_itself_and_each_of_its_arguments(tools: dict[str, Tool]) -> None:
    for tool in tools.values():
        assert tool.title
        assert tool.description
        assert len(tool.description) > 60, tool.name
        assert tool.output_schema
        for name, schema in arguments_of(tool).items():
            assert schema.get("description"), f"{tool.name}.{name}"


async def test_no_tool_takes_arguments_that_it_does_not_name(tools: dict[str, Tool]) -> None:
    assert {tool.name for tool in tools.values() if tool.input_schema.get("additionalProperties") is not False} == set()


def parts(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place of a schema that has a type, with what stands there."""
    if isinstance(schema, list):
        for index, each in enumerate(schema):
            yield from parts(each, f"{place}.{index}")
    elif isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield place, schema
        for key, each in schema.items():
            if key not in {"default", "enum", "const", "examples"}:
                yield from parts(each, f"{place}.{key}")


def places(tools: dict[str, Tool], kinds: set[str], loose: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Where clients send one of these types and `loose` says that it is not tight."""
    found = [each for tool in tools.values() for each in parts(tool.input_schema, tool.name)]
    return [place for place, schema in found if schema["type"] in kinds and loose(schema)]


def is_endless(schema: dict[str, Any]) -> bool:
    """Whether a text has no longest form."""
    pattern = schema.get("pattern", "+")
    return not schema.keys() & {"maxLength", "enum", "const", "format"} and bool(re.search(r"[+*]|,\}", pattern))


# A map from names to values: its names are not known here, how many there are and what they hold is bounded.
def is_open(schema: dict[str, Any]) -> bool:
    more = schema.get("additionalProperties", True)
    return more is True or (more is not False and "maxProperties" not in schema)


async def test_every_text_and_list_that_a_client_sends_has_a_bound(tools: dict[str, Tool]) -> None:
    texts = set(places(tools, {"string"}, is_endless))
    lists = places(tools, {"array"}, lambda schema: "maxItems" not in schema)

    # Each symbol of a watchlist is checked by its own pattern, and a language's is one of a list of subtags of 8 characters.
    preferences = "set_preferences.$defs.Preferences.properties"
    assert texts == {f"{preferences}.watchlist.anyOf.0.items", f"{preferences}.language.anyOf.0"}
    assert lists == []


async def test_every_number_that_a_client_sends_has_bounds(tools: dict[str, Tool]) -> None:
    low, high = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}

    found = places(tools, {"integer", "number"}, lambda schema: not (schema.keys() & low and schema.keys() & high))

    # What a map holds are a strategy's or an indicator's own parameters, which know their bounds themselves.
    assert [place for place in found if ".additionalProperties" not in place] == []


async def test_no_object_that_a_client_sends_is_open(tools: dict[str, Tool]) -> None:
    # A message keeps keys of its writer that the workspace doesn't know, and its size is bounded. Parameters are held against
    # those that the indicator or the strategy has, so there can't be more.
    allowed = {
        "append_messages.$defs.MessageIn",
        "compute_indicators.$defs.Wanted.properties.params",
    }
    assert set(places(tools, {"object"}, is_open)) <= allowed


async def test_every_argument_that_is_written_freely_has_an_example(tools: dict[str, Tool]) -> None:
    def is_free(schema: dict[str, Any]) -> bool:
        kinds = {each["type"]: each for _, each in parts(schema, "") if each["type"] != "null"}
        fixed = any(each.keys() & {"enum", "const"} for each in kinds.values())
        return "$ref" in schema or (bool(kinds.keys() & {"string", "array", "object"}) and not fixed)

    missing = [
        f"{tool.name}.{name}"
        for tool in tools.values()
        for name, schema in arguments_of(tool).items()
        if is_free(schema) and not re.search(r"e\.g\. ", schema["description"], re.IGNORECASE)
    ]
    # A sentence in the user's own words.
    assert set(missing) <= {"save_strategy.description"}


async def test_every_measure_has_its_unit(tools: dict[str, Tool]) -> None:
    """A fee of 5 is five of what? Counts say what they count by their names."""
    units = re.compile(r"percent|basis points|\bbars\b|seconds|US dollars|currency")

    missing = [
        f"{tool.name}.{name}"
        for tool in tools.values()
        for name, schema in arguments_of(tool).items()
        if any(each["type"] == "number" for place, each in parts(schema, "") if ".additionalProperties" not in place)
        and not units.search(schema["description"])
    ]
    assert missing == []


@pytest.mark.parametrize("name", CONTRACT)
async def test_hints_are_truthful(tools: dict[str, Tool], name: str) -> None:
    hints = tools[name].annotations
    assert hints is not None
    reads = name.startswith(("get_", "list_", "search_", "compute_", "validate_", "assess_"))

    assert hints.read_only_hint is reads
    destroys = name.startswith(("forget", "delete_", "import_", "set_", "add_", "stop_")) and name != "import_data"
    assert hints.destructive_hint is destroys
    assert hints.idempotent_hint is True
    assert hints.open_world_hint is (name in ASKS_EXCHANGES)


async def test_the_resources_are_those_of_the_contract(server: RunningServer) -> None:
    async with server.client() as client:
        fixed = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates

    assert {each.uri for each in fixed} == {"context://profile", "context://preferences"}
    assert {each.uri_template for each in templates} == {
        "conversation://{conversation}",
        "strategy://{name}",
        "backtest://{id}",
        "backtest://{id}/trades",
        "backtest://{id}/chart.png",
        "export://{export}/{part}",
    }
    described: list[Resource | ResourceTemplate] = [*fixed, *templates]
    for each in described:
        assert each.description
        types = {"Chart of a backtest": "image/png", "Part of an export": "application/zip"}
        assert each.mime_type == types.get(each.title or "", "application/json")


def test_the_documentation_names_every_tool_with_every_argument(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path, user="demo-pro", tier="pro")
    text = DOCUMENTATION.read_text()

    for offer in offers(workspace):
        tool = tool_of(offer)
        section = re.search(rf"^### `{tool.name}`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, tool.name
        for argument in tool.parameters["properties"]:
            assert f"`{argument}`" in section.group(1), f"{tool.name}.{argument}"
    workspace.database.close()

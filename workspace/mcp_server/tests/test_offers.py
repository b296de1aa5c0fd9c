"""What every tool and resource has to have, whichever it is; a tool added later is checked by the same tests."""

from __future__ import annotations

import re
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
    "append_messages": (("conversation", "turn", "messages"), ()),
    "list_conversations": ((), ()),
    "get_conversation": (("conversation",), ("before", "limit")),
    "delete_conversation": (("conversation",), ()),
    "get_preferences": ((), ()),
    "set_preferences": (("values",), ()),
}
# Tools that find a symbol such as binance:BTC/USDT.
ASKS_EXCHANGES = {"get_bars", "compute_indicators", "validate_strategy", "deploy_strategy"}
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "tools.md"


@pytest.fixture
async def tools(server: RunningServer) -> dict[str, Tool]:
    """The tools as a client lists them."""
    async with server.client() as client:
        return {tool.name: tool for tool in (await client.list_tools()).tools}


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


async def test_every_text_and_list_that_a_client_sends_has_a_bound(tools: dict[str, Tool]) -> None:
    def unbounded(schema: Any, place: str) -> list[str]:
        if isinstance(schema, list):
            return [found for index, each in enumerate(schema) for found in unbounded(each, f"{place}.{index}")]
        if not isinstance(schema, dict):
            return []
        kind = schema.get("type")
        free_text = kind == "string" and not schema.keys() & {"maxLength", "pattern", "enum", "const", "format"}
        free_list = kind == "array" and "maxItems" not in schema
        inner = [found for key, each in schema.items() for found in unbounded(each, f"{place}.{key}")]
        return [place, *inner] if free_text or free_list else inner

    found = [place for tool in tools.values() for place in unbounded(tool.input_schema, tool.name)]
    # Each symbol of a watchlist is checked by its own pattern.
    assert found == ["set_preferences.$defs.Preferences.properties.watchlist.anyOf.0.items"]


@pytest.mark.parametrize("name", CONTRACT)
async def test_hints_are_truthful(tools: dict[str, Tool], name: str) -> None:
    hints = tools[name].annotations
    assert hints is not None
    reads = name.startswith(("get_", "list_", "search_", "compute_", "validate_", "assess_"))

    assert hints.read_only_hint is reads
    assert hints.destructive_hint is (name.startswith(("forget", "delete_", "import_", "set_", "stop_")))
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
    }
    described: list[Resource | ResourceTemplate] = [*fixed, *templates]
    for each in described:
        assert each.description
        assert each.mime_type == ("image/png" if str(each).count("chart.png") else "application/json")


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

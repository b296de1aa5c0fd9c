"""What of a server's tools a model gets to see. Source: DESIGN.md, Tools: namespaced, none shadows a built-in."""

import json
from typing import Any

import mcp_types
import pytest

from agents.mcp.results import outcome_of
from agents.mcp.tools import GATEWAY_ONLY, ToolSet, tool_set

JSON = dict[str, Any]
PLAIN: JSON = {"type": "object", "properties": {"symbol": {"type": "string", "maxLength": 5}}, "required": ["symbol"]}


def listed(*names: str, schema: JSON = PLAIN, description: str = "A tool.") -> ToolSet:
    return tool_set([mcp_types.Tool(name=name, description=description, input_schema=schema) for name in names])


def nested(depth: int) -> JSON:
    schema: JSON = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"next": schema}}
    return schema


def test_a_model_calls_tools_under_the_workspaces_namespace() -> None:
    tools = listed("look")

    assert [tool.for_model()["function"]["name"] for tool in tools.offered()] == ["workspace__look"]
    assert tools.by_model_name("workspace__look") is tools.tools[0]
    assert tools.by_model_name("look") is None


@pytest.mark.parametrize("name", sorted(GATEWAY_ONLY))
def test_what_only_the_gateway_may_do_is_not_offered(name: str) -> None:
    tools = listed(name, "look")

    assert [tool.name for tool in tools.offered()] == ["look"]
    assert tools.by_model_name(f"workspace__{name}") is None
    assert tools.has(name)


@pytest.mark.parametrize("name", ["", "a b", "x" * 54, "ä", "a.b", "../look"])
def test_a_name_that_a_provider_would_refuse_is_left_out(name: str) -> None:
    assert listed(name, "look").tools == listed("look").tools


def test_a_name_given_twice_counts_once() -> None:
    assert [tool.name for tool in listed("look", "look").tools] == ["look"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "object", "properties": {"x": {"$ref": "http://elsewhere.example/schema"}}},
        {"type": "object", "properties": {"x": {"$ref": "file:///etc/passwd"}}},
        {"type": "object", "properties": {"x": {"type": 7}}},
        {"type": "object", "description": "x" * 40_000},
        nested(40),
    ],
)
def test_a_schema_that_is_not_tame_is_left_out(schema: JSON) -> None:
    assert listed("look", schema=schema).tools == ()


def test_a_description_is_cleaned_and_cut() -> None:
    (tool,) = listed("look", description="A\x1b[0m tool.\u202e" + "x" * 10_000).tools

    assert tool.description.startswith("A[0m tool.xxx")
    assert len(tool.description) == 4096


def test_servers_with_the_same_tools_share_one_set() -> None:
    assert listed("look", "see") is listed("look", "see")
    assert listed("look").digest != listed("look", description="Another.").digest


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"symbol": "SPX"}, None),
        ({}, "Wrong arguments for workspace__look: 'symbol' is a required property"),
        ({"symbol": 7}, "Wrong arguments for workspace__look: symbol: 7 is not of type 'string'"),
        ({"symbol": "FAR TOO LONG"}, "Wrong arguments for workspace__look: symbol: 'FAR TOO LONG' is too long"),
    ],
)
def test_arguments_are_held_against_the_schema(arguments: JSON, complaint: str | None) -> None:
    (tool,) = listed("look").tools

    assert tool.complaint(arguments) == complaint


def test_a_complaint_about_a_huge_argument_is_short() -> None:
    (tool,) = listed("look").tools

    assert len(tool.complaint({"symbol": "x" * 1_000_000}) or "") < 600


@pytest.mark.parametrize(
    ("structured", "summary"),
    [
        ({"symbol": "SPX", "bars": 252, "results": [{"a": 1}], "cut": None}, "symbol SPX, bars 252, 1 result"),
        (
            {"results": [1, 2], "strategies": ["a"], "series": [1], "access": [1]},
            "2 results, 1 strategy, 1 series, 1 access",
        ),
        ({"preferences": {"a": 1}}, '{"preferences": {"a": 1}}'),
        ({"text": "x" * 300}, "text " + "x" * 154 + "…"),
    ],
)
def test_a_result_is_summed_up_in_a_line(structured: JSON, summary: str) -> None:
    block = mcp_types.TextContent(type="text", text=json.dumps(structured))

    assert outcome_of(mcp_types.CallToolResult(content=[block], structured_content=structured)).summary() == summary


def test_a_result_without_text_is_its_structure_and_other_content_is_named() -> None:
    image = mcp_types.ImageContent(type="image", data="aGk=", mime_type="image/png")

    assert outcome_of(mcp_types.CallToolResult(content=[], structured_content={"a": "é"})).text == '{"a": "é"}'
    assert outcome_of(mcp_types.CallToolResult(content=[image])).text == "[image]"

"""What of a server's tools a model gets to see. Source: DESIGN.md, Tools: namespaced, none shadows a built-in."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import mcp_types
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.errors import UntameSchema
from agents.mcp.results import outcome_of
from agents.mcp.tools import GATEWAY_ONLY, Tool, ToolSet, tool_set
from agents.schemas import expanded_chars

JSON = dict[str, Any]
PLAIN: JSON = {"type": "object", "properties": {"symbol": {"type": "string", "maxLength": 5}}, "required": ["symbol"]}


def listed(*names: str, schema: JSON = PLAIN, description: str = "A tool.") -> ToolSet:
    return tool_set([mcp_types.Tool(name=name, description=description, input_schema=schema) for name in names])


def nested(depth: int) -> JSON:
    schema: JSON = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"next": schema}}
    return schema


def of_x(x: JSON, **definitions: JSON) -> JSON:
    return {"type": "object", "properties": {"x": x}, "$defs": definitions}


def doubling(links: int) -> JSON:
    """A chain of definitions, each naming the next one twice."""
    named = {f"d{each}": {"allOf": [{"$ref": f"#/$defs/d{each + 1}"}] * 2} for each in range(links)}
    return of_x({"$ref": "#/$defs/d0"}, **named, **{f"d{links}": {}})


def calls_of(act: Callable[[], object]) -> int:
    """How many functions are called meanwhile."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return calls


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
        of_x({"$ref": "#/$defs/missing"}),
        of_x({"$ref": "#/properties/x"}),
        of_x({"$ref": {"type": "string"}}),
        of_x({"$dynamicRef": "http://elsewhere.example/schema"}),
        of_x({"$recursiveRef": "#"}),
        of_x({"$anchor": "a"}),
        of_x({"$dynamicAnchor": "a"}),
        of_x({"$id": "http://elsewhere.example/schema"}),
        of_x({"$schema": "http://json-schema.org/draft-07/schema#"}),
        of_x({"$ref": "#/$defs/a"}, a={"anyOf": [{"$ref": "#/$defs/b"}]}, b={"items": {"$ref": "#/$defs/a"}}),
        of_x({"$ref": "#/$defs/0"}, **{str(each): {"$ref": f"#/$defs/{each + 1}"} for each in range(900)}),
        of_x({}, unnamed={"$ref": "http://elsewhere.example/schema"}),
        of_x({}, unnamed=nested(40)),
        {"type": "object", "$defs": []},
        of_x({"allOf": [{"$ref": "#/$defs/long"}] * 100}, long={"description": "x" * 1000}),
        doubling(14),
        doubling(200),
    ],
)
def test_a_schema_that_is_not_tame_is_left_out(schema: JSON) -> None:
    assert listed("look", schema=schema).tools == ()


def test_definitions_are_put_where_a_schema_names_them() -> None:
    shared = of_x({"$ref": "#/$defs/a", "title": "X"}, a={"items": {"$ref": "#/$defs/b"}}, b={"type": "string"})
    shared["properties"] |= {"y": {"$ref": "#/$defs/a"}, "$id": {"type": "string"}, "$schema": True}
    (tool,) = listed("look", schema={"$id": "https://a.example/look", **shared}).tools

    properties = tool.for_model()["function"]["parameters"]["properties"]

    assert properties["x"] == {"items": {"type": "string"}, "title": "X"}
    assert properties["y"] == {"items": {"type": "string"}}
    assert tool.complaint({"y": [7]}) == "Wrong arguments for workspace__look: y/0: 7 is not of type 'string'"


@st.composite
def webs(draw: st.DrawFn) -> JSON:
    """Definitions that name later ones, several times, and now and then themselves, or what is not there."""
    links = draw(st.integers(1, 24))
    step = st.sampled_from([1, 1, 1, 2, 2, 3]) if draw(st.booleans()) else st.integers(-1, 4)
    how = st.sampled_from(["allOf", "anyOf", "prefixItems", "unevaluatedProperties"])

    def part(each: int) -> JSON:
        named = [{"$ref": f"#/$defs/d{each + draw(step)}"} for _ in range(draw(st.integers(0, 4)))]
        word = draw(how)
        return (
            {"title": "x" * draw(st.integers(0, 40)), word: {"anyOf": named} if word[0] == "u" else named}
            if named
            else {}
        )

    return {f"d{each}": part(each) if each < links else {"pattern": "^(a+)+$"} for each in range(links + 4)}


@settings(max_examples=40, deadline=None)
@given(definitions=webs())
@example(definitions=doubling(6)["$defs"])
@example(definitions=doubling(30)["$defs"])
def test_whatever_the_schema_taking_or_refusing_it_is_cheap(definitions: dict[str, JSON]) -> None:
    """A model's definitions are made, and arguments checked, in the loop that serves everybody."""
    schema = of_x({"$ref": "#/$defs/d0"}, **definitions)

    def use() -> None:
        for tool in listed("look", schema=schema).tools:
            json.dumps(tool.for_model())
            tool.complaint({"x": {"d1": "a" * 40 + "!", "d2": [{}]}})

    assert calls_of(lambda: expanded_or_refused(schema)) < 8 * len(json.dumps(schema))
    assert calls_of(use) < 500_000


def expanded_or_refused(schema: JSON) -> None:
    with suppress(UntameSchema):
        expanded_chars(schema)


def test_what_a_pattern_may_keep_busy_for_ever_is_left_to_the_server() -> None:
    """Python's `re` takes 2 ** 60 steps here."""
    endless = "^(a+)+$"
    schema = {
        "type": "object",
        "properties": {"x": {"type": "string", "pattern": endless}},
        "patternProperties": {endless: {"type": "string"}},
        "additionalProperties": False,
    }
    (tool,) = listed("look", schema=schema).tools

    assert tool.complaint({"x": "a" * 60 + "!", "a" * 60 + "!": "y"}) is None
    assert tool.complaint({"x": 7}) == "Wrong arguments for workspace__look: x: 7 is not of type 'string'"


def test_names_that_a_schema_does_not_know_are_refused_where_no_pattern_may_allow_them() -> None:
    (tool,) = listed("look", schema={**PLAIN, "additionalProperties": False}).tools

    assert "Additional properties are not allowed" in (tool.complaint({"symbol": "SPX", "sym": 1}) or "")


def test_a_schema_that_points_nowhere_is_a_complaint() -> None:
    tool = Tool("look", "", of_x({"$dynamicRef": "http://elsewhere.example/schema"}), repeatable=False)

    assert tool.complaint({"x": 1}) == (
        "Wrong arguments for workspace__look: The schema has a reference that leads nowhere."
    )


def test_a_server_has_room_for_so_much_schema_and_no_more() -> None:
    large = {"type": "object", "description": "x" * 30_000}

    tools = listed(*(f"look{each}" for each in range(20)), schema=large).tools

    assert [tool.name for tool in tools] == [f"look{each}" for each in range(8)]


def test_a_description_is_cleaned_and_cut() -> None:
    (tool,) = listed("look", description="A\x1b[0m tool.\u202e" + "x" * 10_000).tools

    assert tool.description.startswith("A tool.xxx")
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

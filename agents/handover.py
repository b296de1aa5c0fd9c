"""The agent hands the rest of its turn over to a workflow, by calling it as if it were a tool."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, ToolCall
from langchain_core.utils.json_schema import dereference_refs
from pydantic import ValidationError

from accounts.licences import Licence
from agents.workflows import Workflow, workflows

JSON = dict[str, Any]


class HandOver(Exception):
    """The model has called a workflow: the agent's part is over. `messages` end with that call."""

    def __init__(self, call: ToolCall, messages: Sequence[AnyMessage]) -> None:
        super().__init__(call["name"])
        self.call = call
        self.messages = list(messages)


def offered_workflows(licence: Licence) -> dict[str, Workflow]:
    """The workflows that the agent may start for a user, by name."""
    return {name: each for name, each in workflows().items() if each.opened_by(licence)}


@lru_cache(maxsize=64)
def definition(workflow: Workflow) -> JSON:
    """The workflow as a tool, in OpenAI's format; one object for each, which nobody changes: making it takes milliseconds."""
    parameters = dereference_refs(workflow.inputs.model_json_schema())
    parameters.pop("$defs", None)
    function = {"name": workflow.name, "description": workflow.description, "parameters": parameters}
    return {"type": "function", "function": function}


def handed_over(message: AIMessage, offered: Mapping[str, Workflow]) -> ToolCall | None:
    """The call of a workflow in a model's message, if its arguments fit."""
    for call in message.tool_calls:
        workflow = offered.get(call["name"])
        if workflow is not None and complaint(workflow, call["args"]) is None:
            return call
    return None


def complaint(workflow: Workflow, arguments: JSON) -> str | None:
    """Why the arguments don't fit, in words for the model; None when they do."""
    try:
        workflow.inputs.model_validate(arguments)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"Wrong arguments for {workflow.name}: {where}: {first['msg']}"
    return None

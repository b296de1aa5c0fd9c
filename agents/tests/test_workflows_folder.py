"""What every workflow of the folder keeps to. Source: DESIGN section 1: a new workflow is one file."""

import json
import re
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from agents.handover import complaint, definition, offered_workflows
from agents.tests.licences import licence
from agents.workflow_graph import _graph
from agents.workflows import Workflow, started_by, workflows


def test_the_folder_has_these() -> None:
    assert list(workflows()) == ["portfolio_review", "trading_analysis"]


@pytest.fixture(params=sorted(workflows()))
def workflow(request: pytest.FixtureRequest) -> Workflow:
    found: Workflow = workflows()[request.param]
    return found


def test_its_name_is_one_that_a_licence_can_hold(workflow: Workflow) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", workflow.name)
    assert workflow.label
    assert workflow.description


def test_its_steps_have_names_of_their_own_and_make_a_graph(workflow: Workflow) -> None:
    names = [step.__name__ for step in workflow.steps]

    assert len(set(names)) == len(names)
    assert all(step.__doc__ for step in workflow.steps)
    _graph(workflow).compile()


def test_it_is_a_tool_whose_definition_every_provider_takes(workflow: Workflow) -> None:
    function = definition(workflow)["function"]

    assert function["name"] == workflow.name
    assert "__" not in function["name"], "it would look like a tool of the workspace"
    Draft202012Validator.check_schema(function["parameters"])
    assert "$ref" not in json.dumps(function["parameters"])
    assert issubclass(workflow.inputs, BaseModel)


def test_its_words_become_its_input(workflow: Workflow) -> None:
    started = started_by(f"{workflow.label}: the words")
    assert started is not None
    assert started[0] is workflow
    assert "the words" in json.dumps(started[1])
    assert started_by(workflow.label.upper()) is not None
    assert started_by(f"{workflow.label}er") is None


def test_it_is_offered_only_to_those_whose_licence_opens_it(workflow: Workflow) -> None:
    allowed = licence(tier="pro")
    without = allowed.features.model_copy(update={"workflows": ()})

    assert workflow.name in offered_workflows(allowed)
    assert offered_workflows(replace(allowed, features=without)) == {}


def test_arguments_that_do_not_fit_are_told_to_the_model() -> None:
    said = complaint(workflows()["trading_analysis"], {"symbol": "SPX"})

    assert said is not None
    assert "strategy" in said

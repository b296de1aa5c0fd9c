"""Workflows: one file each, exposing `WORKFLOW`. The folder is the list.

A workflow is steps that follow one another. What a step leaves is kept before the next begins, so that a workflow whose
process is killed goes on with the step it was in. Such a step is begun again from its top: one that asks the user has no
effect before it asks, and what has an effect carries a key that an earlier step has left.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from accounts.errors import NotIncluded
from accounts.features import Switch, require_feature, require_workflow
from accounts.licences import Licence
from agents.errors import AgentFailed
from gateway.plugins import load_folder

if TYPE_CHECKING:
    from agents.workflow_desk import Desk

JSON = dict[str, Any]

# As the step after another: there is none.
END = "end"


@dataclass(frozen=True, slots=True)
class Left:
    """What a step leaves: values beside those of the steps before it, and which step comes next.

    `then` None is the one that follows in the workflow's list.
    """

    values: JSON = field(default_factory=dict)
    then: str | None = None


Step = Callable[["Desk", JSON], Awaitable[Left]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """Steps with a name. `label` and `description` are for people and models.

    `inputs` is what an agent gives when it starts the workflow as a tool; a workflow `from_words` is started by what a
    person typed. `features` are those of the licence that it stands behind, beside its own name.
    """

    name: str
    label: str
    description: str
    inputs: type[BaseModel]
    from_words: Callable[[str], JSON]
    steps: tuple[Step, ...]
    features: tuple[Switch, ...] = ()

    def require(self, licence: Licence) -> None:
        """Raise AgentFailed `not_included` unless the licence opens the workflow."""
        try:
            require_workflow(licence, self.name)
            for switch in self.features:
                require_feature(licence, switch)
        except NotIncluded as error:
            raise AgentFailed(error.code, str(error)) from error

    def opened_by(self, licence: Licence) -> bool:
        """Whether the licence opens the workflow."""
        try:
            self.require(licence)
        except AgentFailed:
            return False
        return True


@cache
def workflows() -> dict[str, Workflow]:
    """Every workflow of this folder by its name. Raises what a broken one raises."""
    return load_folder("agents.workflows", constant="WORKFLOW", kind=Workflow)


def started_by(words: str) -> tuple[Workflow, JSON] | None:
    """The workflow that a person means, and its input, when `words` begin with its name or label, in any case."""
    plain = " ".join(words.replace("_", " ").split())
    for workflow in workflows().values():
        for name in (workflow.label, workflow.name.replace("_", " ")):
            rest = plain[len(name) :]
            if plain.lower().startswith(name.lower()) and not rest[:1].isalnum():
                return workflow, workflow.from_words(rest.lstrip(" :,-–"))
    return None

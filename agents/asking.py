"""A tool that asks the user something: its call rests in the turn's state, and goes on where it was with the answer.

The other calls of the same message have run by then, and their results are part of the state: nothing is repeated. Source: MCP
2026-07-28, multi round-trip requests: the call is sent again with the answers and the server's own state.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from langchain_core.messages import AnyMessage, ToolMessage, messages_from_dict, messages_to_dict

from agents.events import Usage
from agents.forms import schema_fault
from agents.markup import clean
from agents.mcp.results import Asks
from agents.waiting import QuestionRequest, Resumed, Waits

JSON = dict[str, Any]

QUESTION_CHARACTERS = 2000
# Of one call. A tool that asks more has lost its way.
MOST_ROUNDS = 10
WAITING = "[Waits for the user's answer.]"
REFUSED = "The tool asks for something that this service does not give."
# What a server is told of each outcome.
_ACTIONS = {"answered": "accept", "declined": "decline"}


@dataclass(slots=True)
class Pending:
    """A call that has asked: `requests` and `state` are the server's, `answers` what it has been given so far, by key.

    `definition` is the digest of the tool as it was called.
    """

    call: JSON
    tool: str
    arguments: JSON
    definition: str
    requests: dict[str, JSON] = field(default_factory=dict)
    state: str | None = None
    answers: dict[str, JSON] = field(default_factory=dict)
    rounds: int = 0

    def asks_again(self, asks: Asks) -> bool:
        """Note what the server wants to know now; False when it goes on asking, or wants what is not the user's to give."""
        self.requests, self.state, self.answers = asks.requests, asks.state, {}
        self.rounds += 1
        return self.rounds <= MOST_ROUNDS and self._askable()

    def next_question(self) -> tuple[str, QuestionRequest] | None:
        """The next thing to ask, with its key; what can't be asked is declined here. None when all is answered."""
        for key, request in self.requests.items():
            if key in self.answers:
                continue
            params = request.get("params") or {}
            schema = params.get("requestedSchema")
            if params.get("mode", "form") == "form" and isinstance(schema, dict) and schema_fault(schema) is None:
                asked = clean(str(params.get("message", "")))[:QUESTION_CHARACTERS]
                return key, QuestionRequest(text=f"{self.tool} asks: {asked}", schema=schema)
            self.answers[key] = {"action": "decline"}
        return None

    def _askable(self) -> bool:
        """Whether all that it wants is the user's to give: not a model's words, nor a list of folders."""
        return all(request.get("method") == "elicitation/create" for request in self.requests.values())


class Asked(Exception):
    """Tools have asked before the model's next call. `messages` are those of the turn."""

    def __init__(self, messages: Sequence[AnyMessage]) -> None:
        super().__init__("asked")
        self.messages = list(messages)


@dataclass(slots=True)
class Resting:
    """What a turn is made of while its user is asked."""

    messages: list[AnyMessage]
    pending: list[Pending]
    steps: int
    model: str
    joined: int = 0

    def waits(self, usage: Usage) -> Waits | None:
        """The next question, with everything that goes on after it; None when the first call that rests has all it wants."""
        question = self.pending[0].next_question() if self.pending else None
        if question is None:
            return None
        key, request = question
        state = {
            "messages": messages_to_dict(self.messages),
            "pending": [asdict(each) for each in self.pending],
            "steps": self.steps,
            "model": self.model,
            "joined": self.joined,
            "asked": [self.pending[0].call["id"], key],
        }
        return Waits(request=request, state=state, usage=usage)

    def answered(self, call_id: str, message: ToolMessage) -> None:
        """The call has its result, which stands where it was waited for."""
        self.messages = [
            message if isinstance(each, ToolMessage) and each.tool_call_id == call_id else each
            for each in self.messages
        ]
        self.pending = [each for each in self.pending if each.call["id"] != call_id]


def is_question(resumed: Resumed | None) -> bool:
    """Whether a turn goes on after a question of a tool of its agent."""
    return resumed is not None and resumed.kind == "question" and "asked" in resumed.state


def taken_up(resumed: Resumed) -> Resting:
    """What rested, with the user's answer in its place."""
    state = resumed.state
    pending = [Pending(**each) for each in state["pending"]]
    call_id, key = state["asked"]
    for each in pending:
        if each.call["id"] == call_id:
            each.answers[key] = _response(resumed)
    messages = cast("list[AnyMessage]", messages_from_dict(state["messages"]))
    return Resting(messages, pending, state["steps"], state["model"], state["joined"])


def _response(resumed: Resumed) -> JSON:
    action = _ACTIONS.get(resumed.decision, "cancel")
    return {"action": action, "content": resumed.values or {}} if action == "accept" else {"action": action}

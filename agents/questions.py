"""What a turn asks its user, and the one answer that each question gets; see awaited.py."""

from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from agents import forms
from agents.awaited import AwaitedView, Given, Kind, Ruling
from agents.errors import Refused
from agents.settlement import storable
from agents.wait_events import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Given):
    """What a user says to a question, and where; `values` None declines to answer. `typed` are words in their place."""

    question: str
    values: dict[str, Any] | None = None
    typed: str | None = None

    @property
    def wait(self) -> str:
        """The question's id."""
        return self.question

    def ruling(self, found: Row) -> Ruling:
        """The answer, or that there is none. Raises Refused `invalid` for values that don't fit the question's schema."""
        values = self.values if self.typed is None else forms.read_typed(found["schema"], self.typed)
        if values is None:
            return Ruling("declined", "values", None)
        values = dict(storable(values))
        if fault := forms.complaint(found["schema"], values):
            raise Refused("invalid", f"That does not answer the question. {fault}")
        return Ruling("answered", "values", Jsonb(values))


@dataclass(frozen=True, slots=True)
class QuestionView(AwaitedView):
    """A question as its owner sees it."""

    text: str
    schema: dict[str, Any]


QUESTIONS = Kind("question", QuestionView, columns="w.text, w.schema")
reply, reply_on = QUESTIONS.settle, QUESTIONS.settle_on
list_questions, get_question = QUESTIONS.page, QUESTIONS.get

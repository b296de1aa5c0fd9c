"""What waits for a user's yes or no, and the one decision that each gets; see awaited.py."""

from dataclasses import dataclass
from typing import Any, Literal

from agents.awaited import AwaitedView, Given, Kind, Ruling
from agents.errors import Refused
from agents.wait_events import Row
from agents.waiting import digest_of

MAX_COMMENT_CHARS = 1000
Choice = Literal["approve", "reject"]
_STATES = {"approve": "approved", "reject": "rejected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Given):
    """What a user decides, and where; `digest` is that of what they were shown, where the channel knows it."""

    approval: str
    choice: Choice
    comment: str = ""
    digest: str = ""

    @property
    def wait(self) -> str:
        """The approval's id."""
        return self.approval

    def check(self) -> None:
        """Raise Refused `invalid` for a comment that can't be kept."""
        if len(self.comment) > MAX_COMMENT_CHARS or "\0" in self.comment:
            raise Refused("invalid", f"A comment has at most {MAX_COMMENT_CHARS:,} characters, none of them NUL.")

    def ruling(self, found: Row) -> Ruling:
        """The decision on exactly what the row covers. Raises Refused `changed` when that is not what the user was shown."""
        digest = digest_of(found["covered"])
        if self.digest not in {"", digest} or found["digest"] != digest:
            raise Refused("changed", "This is not what was shown to you. Nothing has changed.")
        return Ruling(_STATES[self.choice], "comment", self.comment, digest)


@dataclass(frozen=True, slots=True)
class ApprovalView(AwaitedView):
    """An approval as its owner sees it."""

    workflow: str
    title: str
    details: dict[str, Any]
    digest: str
    comment: str


APPROVALS = Kind("approval", ApprovalView, columns="w.workflow, w.title, w.details, w.digest, w.comment")
decide, decide_on = APPROVALS.settle, APPROVALS.settle_on
list_approvals, get_approval = APPROVALS.page, APPROVALS.get

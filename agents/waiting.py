"""What a turn waits for, and what it is given when it goes on: the records between the turn engine and what thinks.

A brain that needs its user ends its attempt with `Waits` in place of an `Answer`. The turn then rests, holding nothing, until
the user has decided, the time is up, or the turn is stopped; its next attempt finds what became of it in `TurnRequest.resumed`.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from agents.events import Usage
from agents.forms import schema_fault

JSON = dict[str, Any]
WaitKind = Literal["approval", "question"]
Decision = Literal["approved", "rejected", "answered", "declined", "expired"]

# DESIGN section 6.
TTL = timedelta(minutes=30)
# A journal is kept for so long while its turn is open.
MOST_TTL = timedelta(hours=24)
# More than a person reads before saying yes.
MOST_COVERED_BYTES = 64 * 1024
# What the digest covers by itself, whatever `covers` holds.
_OWN = frozenset({"workflow", "turn", "title", "details", "params"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """Something that is done only if the user says yes.

    `details` is what the user is shown, a name and a value a line. The approval's digest covers all of this, and in `covers`
    whatever else the yes is for, as `strategy_version_digest` and `risk_result`. Raises ValueError for what no canonical
    JSON can hold (NaN), and for more than 64 KiB.
    """

    workflow: str
    title: str
    details: JSON
    params: JSON = field(default_factory=dict)
    covers: JSON = field(default_factory=dict)
    ttl: timedelta = TTL

    def __post_init__(self) -> None:
        _check_ttl(self.ttl)
        if taken := _OWN & set(self.covers):
            raise ValueError(f"covers may not name {', '.join(sorted(taken))}.")
        if len(self.covered("").encode()) > MOST_COVERED_BYTES:
            raise ValueError("An approval covers at most 64 KiB.")

    def covered(self, turn: str) -> str:
        """The canonical JSON of what is approved; see digest_of."""
        return canonical(
            {
                **self.covers,
                "workflow": self.workflow,
                "turn": turn,
                "title": self.title,
                "details": self.details,
                "params": self.params,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRequest:
    """Something that only the user knows; `schema` is the JSON Schema of the answer's values, a flat object's.

    Raises ValueError for a schema that can't be a form (see forms.schema_fault).
    """

    text: str
    schema: JSON
    ttl: timedelta = TTL

    def __post_init__(self) -> None:
        _check_ttl(self.ttl)
        if fault := schema_fault(self.schema):
            raise ValueError(fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """An attempt that ends by waiting. `state` is the brain's own, given back as it is; `usage` what was used so far."""

    request: ApprovalRequest | QuestionRequest
    state: JSON = field(default_factory=dict)
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What became of what the turn waited for, in each attempt after it.

    `decision` is approved, rejected or expired of an approval, answered, declined or expired of a question; `values` are the
    answer's. `digest` is the approval's: whoever acts on a yes compares it with the digest of what it is about to do.
    `written` is what the turn had said before, which stays shown: an Answer's `content` is what came after.
    """

    kind: WaitKind
    id: str
    decision: Decision
    by_channel: str
    decided_at: datetime
    digest: str = ""
    comment: str = ""
    values: JSON | None = None
    state: JSON = field(default_factory=dict)
    written: str = ""


def canonical(value: Any) -> str:
    """JSON in the one form that a digest is taken of: keys sorted, no blanks. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest_of(covered: str) -> str:
    """SHA-256 (hex) of a canonical JSON text."""
    return hashlib.sha256(covered.encode()).hexdigest()


def _check_ttl(ttl: timedelta) -> None:
    if not timedelta(0) < ttl <= MOST_TTL:
        raise ValueError("What is waited for lasts more than nothing, and at most a day.")

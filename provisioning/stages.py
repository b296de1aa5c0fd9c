"""The stages of a start, as the user sees them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

SENTENCES = {
    "queued": "Your workspace is next in line…",
    "scheduling": "Finding a place for your workspace…",
    "pulling": "Fetching your workspace's software…",
    "starting": "Starting your workspace…",
    "ready": "Your workspace is ready.",
}


@dataclass(frozen=True)
class StageReport:
    """A stage entered (queued, scheduling, pulling, starting, ready) and its sentence for the user."""

    stage: str
    detail: str


OnStage = Callable[[StageReport], Awaitable[None]]


def report_of(stage: str, *, detail: str = "") -> StageReport:
    """The report of a stage, with its own sentence unless there is news; raises KeyError for a stage that is none."""
    return StageReport(stage=stage, detail=detail or SENTENCES[stage])


def known_stage(stage: str) -> str:
    """The stage that a row names; one that only another release knows, or none yet, is queued."""
    return stage if stage in SENTENCES else "queued"

"""Turns in a workspace that the gateway itself starts. Source: DESIGN.md, sections 6 and 7."""

from collections.abc import AsyncIterator

import pytest

from agents import harness
from agents.tests.licences import licence
from agents.tests.talks import USER, Talk
from provisioning.stages import StageReport
from provisioning.workspaces import stop_workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def _stopped(pool: None, signing_key: str) -> AsyncIterator[None]:
    yield
    await harness.close()
    await stop_workspace(USER)


async def test_a_turn_starts_its_workspace_and_reports_the_stages() -> None:
    stages: list[str] = []

    async def on_stage(report: StageReport) -> None:
        stages.append(report.stage)

    talk = Talk(licence(USER))
    answer = await talk.say("List the instruments", on_stage=on_stage)
    assert "SPX" in answer.content
    assert stages[0] in {"queued", "starting"}
    assert stages[-1] == "ready"

    stages.clear()
    await talk.say("My name is Ada", on_stage=on_stage)
    assert stages == []


async def test_a_workspace_that_was_stopped_in_between_is_started_again_with_its_data() -> None:
    """An idle workspace stops by itself while the gateway still has a connection to it."""
    talk = Talk(licence(USER))
    await talk.say("My name is Ada")
    await stop_workspace(USER)

    assert "Ada" in (await talk.say("What is my name?")).content

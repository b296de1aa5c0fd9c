"""`/model` lists, chooses and leaves the choice. Source: DESIGN.md, Providers: or one message (`/model`): what
the licence forbids is not offered."""

from typing import Any

import pytest

from agents.catalogue import Model
from agents.circuit_table import SharedCircuits
from agents.circuits import Trouble
from agents.tests.engine import ScriptedBrain, TestWorker, answer, frames, say
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool", "two_vendors")]


@pytest.fixture
def two_vendors(settings: Any) -> None:
    settings.ANTHROPIC_API_KEY = settings.OPENAI_API_KEY = "key"


async def told(words: str, *, user: str = "demo-pro") -> str:
    accepted = await say(f"/model {words}", user=user)
    return str((await frames(accepted.turn))[-1]["content"])


async def kept(user: str = "demo-pro") -> tuple[str, bool]:
    async with connection() as conn:
        cursor = await conn.execute("SELECT model, model_settled FROM conversations WHERE user_id = %s", (user,))
        found = await cursor.fetchone()
    assert found is not None
    return found[0], found[1]


async def test_it_lists_what_the_licence_allows() -> None:
    free, pro = await told("", user="demo-free"), await told("")

    assert "`anthropic/claude-haiku-4-5` (small, $1 in and $5 out)" in free
    assert "large" not in free
    assert "`anthropic/claude-opus-5-5` (large" in pro
    assert "google" not in pro
    assert pro.startswith("I choose by what you ask.")


async def test_it_says_which_model_the_operator_has_chosen(settings: Any) -> None:
    settings.DEFAULT_MODEL_PROVIDER, settings.DEFAULT_MODEL = "openai", "gpt-5.4-mini"

    assert (await told("")).startswith("Here **openai/gpt-5.4-mini** answers, whatever you ask.")
    await told("opus")
    assert "answered last" not in await told("")
    assert await told("default") == "Your choice is undone. Here **openai/gpt-5.4-mini** answers, whatever you ask."


async def test_a_name_or_a_part_of_one_chooses_for_the_conversation() -> None:
    assert (await told("openai/gpt-5.4")).startswith("**openai/gpt-5.4** answers in this conversation")
    assert await kept() == ("openai/gpt-5.4", True)
    assert (await told("")).startswith("You chose **openai/gpt-5.4** for this conversation.")

    await told("opus")
    assert await kept() == ("anthropic/claude-opus-5-5", True)


async def test_a_part_of_several_names_asks_back() -> None:
    assert await told("claude-") == (
        "Which one: `anthropic/claude-haiku-4-5`, `anthropic/claude-sonnet-5-5`, `anthropic/claude-opus-5-5`?"
    )
    assert await kept() == ("", False)


async def test_default_leaves_the_choice_to_the_gateway_again() -> None:
    await told("opus")
    await told("default")

    assert await kept() == ("", False)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("anthropic/claude-opus-5-5", "is not included in your licence"),
        ("google/gemini-2.5-flash", "is not available here"),
        ("no such model", "is not available here"),
    ],
)
async def test_what_can_not_be_had_is_refused_with_the_list(words: str, why: str) -> None:
    refused = await told(words, user="demo-free")

    assert refused.startswith(f"The model {words} {why}.")
    assert "`openai/gpt-5.4-mini`" in refused
    assert await kept("demo-free") == ("", False)


async def test_a_model_with_a_problem_is_marked() -> None:
    await SharedCircuits().failed(Model(provider="openai", name="gpt-5.4", size="large"), Trouble())

    (line,) = [line for line in (await told("")).splitlines() if "problem" in line]
    assert line.startswith("- `openai/gpt-5.4`")


async def test_a_stand_in_does_not_become_the_conversations_model(brain: ScriptedBrain, worker: TestWorker) -> None:
    await told("opus")
    brain.kept_model = "anthropic/claude-opus-5-5"
    await say("Hello")
    await answer(worker, "Hi")

    assert await kept() == ("anthropic/claude-opus-5-5", True)
    assert (await told("")).startswith("You chose **anthropic/claude-opus-5-5** for this conversation.")

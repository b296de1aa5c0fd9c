"""What /status answers. Source: it tells the truth in each channel: workspace, queue, what runs elsewhere, what is left."""

import pytest

from agents.conversations import create_conversation
from agents.tests.engine import TestWorker, row, say

pytestmark = pytest.mark.usefixtures("users", "pool")


async def status(channel: str = "telegram") -> str:
    accepted = await say("/status", channel=channel)
    return str((await row(accepted.turn, "answer"))[0])


async def test_with_nothing_to_do_it_says_so_and_what_is_left() -> None:
    assert (await status()).split("\n") == [
        "Workspace: stopped – Your workspace is asleep. It starts when you need it.",
        "Tokens left this month: 20,000,000 of 20,000,000",
        "Answers being written: 0, waiting: 0",
    ]


async def test_what_runs_elsewhere_and_what_waits_is_named(worker: TestWorker) -> None:
    other = (await create_conversation("demo-pro")).id
    await say("Deploy `it`\nnow", channel="telegram", conversation=other)
    await say("RSI of SPX over " + "many " * 30, channel="telegram")
    await say("And then?", channel="web")
    await say("Not yours", user="demo-free")
    first = await worker.claim()
    second = await worker.claim()
    assert first is not None
    assert second is not None
    await worker.order(first, "ask yes")
    await worker.done(first)

    for channel in ("web", "telegram"):
        lines = (await status(channel)).split("\n")[2:]
        assert lines[0] == "Answers being written: 1, waiting: 1, waiting for you: 1"
        assert lines[1] == "- `Deploy ´it´ now` – waits for your yes or no, asked in Telegram"
        assert lines[2].startswith("- `RSI of SPX over many many")
        assert lines[2].endswith("s, asked in Telegram")
        assert "… ` – " not in lines[2]
        assert "being answered for" in lines[2]
        assert "waiting for" in lines[3]
        assert lines[3].endswith("asked on the web page")
        assert len(lines) == 4


async def test_a_long_queue_is_counted_and_not_listed() -> None:
    for number in range(8):
        await say(f"Number {number}")

    lines = (await status()).split("\n")
    assert "waiting: 8" in lines[2]
    assert lines[-1] == "- and 3 more"

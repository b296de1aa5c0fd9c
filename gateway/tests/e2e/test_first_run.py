"""What `make run` starts: the whole gateway in one process, with its own PostgreSQL and the demo model.

Source: DESIGN.md, section 9, and section 2: a talk starts on the web and goes on in Telegram.
"""

from collections.abc import Iterator

import pytest

from gateway.tests.e2e.clients import PATIENCE_S, chat, post, update
from gateway.tests.e2e.databases import ACCOUNTS
from gateway.tests.e2e.peers import BotApi
from gateway.tests.e2e.processes import Deployment, Server, command_line, deployment, until

PRO = ACCOUNTS["demo-pro"]
STOPS_WITHIN_S = 10


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory, bots: BotApi) -> Iterator[Deployment]:
    """A folder in which nothing was run before, whose path has a space."""
    folder = tmp_path_factory.mktemp("laptop") / "a folder"
    with deployment(folder, "", TELEGRAM_API_BASE_URL=bots.url) as made:
        yield made


@pytest.fixture(scope="module")
def up(laptop: Deployment) -> Server:
    """The gateway of the first run."""
    server = laptop.launch_up()
    until(lambda: server.answers("/health"), what="the first run")
    return server


def test_it_says_where_the_chat_is_and_how_to_sign_in(up: Server) -> None:
    assert f"http://localhost:{up.port}/" in up.printed()
    assert "demo-pro" in up.printed()
    assert "password" in up.printed()


def test_with_no_model_configured_the_demo_answers(up: Server) -> None:
    on = [name for name, state in up.get("/health").json()["providers"].items() if state == "on"]

    assert on == ["demo"]


async def test_what_was_said_on_the_web_is_known_in_telegram(up: Server, laptop: Deployment, telegram: BotApi) -> None:
    assert laptop.manage("link_channel", "demo-pro", "telegram", str(PRO)).ended() == 0
    async with chat(up, "demo-pro") as client:
        await client.end_of(await client.begin("My name is Ada."))

    post(up, update(1, "What is my name?", account=PRO))

    # The message grows.
    until(lambda: any("Ada" in text for text in telegram.texts(PRO)), within_s=PATIENCE_S, what="the answer")
    assert len(telegram.texts(PRO)) == 1


async def test_the_demo_uses_the_workspaces_tools(up: Server) -> None:
    async with chat(up, "demo-pro") as client:
        turn = await client.begin("RSI of SPX over the last 252 bars?")
        done = await client.end_of(turn)

    kinds = client.kinds(turn)
    assert kinds.index("tool_call") < kinds.index("tool_result") < kinds.index("token")
    assert "RSI" in done["content"]


def test_its_log_in_a_file_is_plain_text(up: Server) -> None:
    assert "agent_ready" in up.printed()
    assert "\x1b" not in up.printed()


def test_ctrl_c_leaves_no_process(up: Server, laptop: Deployment) -> None:
    """Neither workspaces nor the PostgreSQL that it started."""
    assert any(b"postgres" in command_line(pid) for pid in laptop.left())

    assert up.stop(within_s=STOPS_WITHIN_S) == 0

    assert laptop.left() == []
    assert up.printed().count("Stopping ...") == 1
    assert "Traceback" not in up.printed()

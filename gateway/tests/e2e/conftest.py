"""The peers of every deployment, and the one that most tests share."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from gateway.testing.chromium import PHONE
from gateway.testing.forking import zygote
from gateway.tests.e2e.databases import fresh_database, template
from gateway.tests.e2e.leaks import found_in, kept_by, secrets_of
from gateway.tests.e2e.packages import OWN, PACKAGES
from gateway.tests.e2e.peers import BotApi, Model, bot_api, model
from gateway.tests.e2e.processes import ROOT, Deployment, Server, deployment

Deploy = Callable[..., AbstractContextManager[Deployment]]
SHORT_ANSWER_TOKENS = 12

# A stage may pass in less than a look takes.
NOTE_STAGES = """
window.stages = new Set();
new MutationObserver(() => {
    const line = document.getElementById("progress-text");
    if (line?.textContent) window.stages.add(line.textContent);
}).observe(document, { childList: true, subtree: true, characterData: true });
"""


@pytest.fixture(scope="session")
def bots() -> Iterator[BotApi]:
    """The Bot API that every deployment of the run calls."""
    with bot_api() as api:
        yield api


@pytest.fixture
def telegram(bots: BotApi) -> BotApi:
    """The same, whose chats are empty."""
    bots.sent.clear()
    return bots


@pytest.fixture(scope="session")
def llm() -> Iterator[Model]:
    """The model that every deployment of the run asks."""
    with model() as found:
        yield found


@pytest.fixture(scope="session")
def deploy(tmp_path_factory: pytest.TempPathFactory, bots: BotApi, llm: Model) -> Iterator[Deploy]:
    """Make a deployment of that name: a fresh database with the demo users, the peers, no process yet.

    When it ends, none of its secrets may stand in what its processes printed or in its database, unless the test looks itself.
    """
    folder = tmp_path_factory.mktemp("gateways")

    @contextmanager
    def make(name: str, *, forked: bool = True, watched: bool = True, **settings: str) -> Iterator[Deployment]:
        peers = {
            "DEFAULT_MODEL_PROVIDER": "openai",
            "DEFAULT_MODEL": "stub",
            "OPENAI_BASE_URL": f"{llm.url}/v1",
            "TELEGRAM_API_BASE_URL": bots.url,
        }
        source = forks if forked else None
        with (
            fresh_database(name) as url,
            deployment(folder / name, url, zygote=source, **(peers | settings)) as made,
        ):
            yield made
            if watched:
                made.kill_all()
                assert found_in(kept_by(made), secrets_of(made)) == []

    with ExitStack() as stack:
        forks = stack.enter_context(zygote(*PACKAGES, *OWN, folder=ROOT))
        stack.enter_context(template(folder, forks))
        yield make


@pytest.fixture(scope="session")
def shared(deploy: Deploy) -> Iterator[Deployment]:
    """The deployment that most tests share."""
    with deploy("shared", forked=False) as made:
        yield made


@pytest.fixture(scope="session")
def gateway(shared: Deployment) -> Server:
    """Its server, with a worker inside."""
    return shared.serve()


@pytest.fixture
def answer(llm: Model) -> str:
    """The text that the model answers with, at once, unless the test says otherwise."""
    return llm.write(SHORT_ANSWER_TOKENS)


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A page, phone-sized; whatever its console, or another tab's, says or its scripts throw fails the test."""
    problems: list[str] = []
    context = await chromium.new_context(viewport=PHONE)
    context.on(
        "console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None
    )
    context.on("weberror", lambda failed: problems.append(str(failed.error)))
    page = await context.new_page()
    await page.add_init_script(NOTE_STAGES)
    yield page
    await context.close()
    assert problems == []

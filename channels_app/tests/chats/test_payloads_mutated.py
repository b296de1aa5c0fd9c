"""Payloads with something missing, of another type, huge, deep or of no text's characters: at worst they are refused.

Source: PLATFORMS, JSON: all of these are a 400, never a traceback; DESIGN.md section 4: 415, 400, stored, 200.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels_app.direct_messages import hear
from channels_app.tests.chats.conftest import DRIVERS
from channels_app.tests.chats.contract import link_account
from channels_app.tests.chats.tables import rows
from channels_app.tests.doubles.driver import Driver
from channels_app.tests.live import PATIENCE_S, error_code, serving
from channels_app.tests.payloads import PLATFORMS, as_posted, load, names

pytestmark = pytest.mark.django_db(transaction=True)

Path = tuple[str | int, ...]
# The functions' fixtures stand for a server, and not for a state that an example begins with.
EXAMPLES = settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LEAKS = ("Traceback", 'File "', "psycopg", "SELECT ", "AAtestToken", "xoxb-", "/work/")
TABLES = (
    "turns", "deliveries", "chat_inbox", "unlinked_senders", "chat_threads", "draft_wishes", "outbox", "told_limits",
    "conversations", "uploads", "link_tries", "accepted_messages",
)  # fmt: skip
COUNTS = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in TABLES)


def nested(depth: int, inner: Any = 1) -> Any:
    """Lists in lists, and objects in objects."""
    for level in range(depth):
        inner = {"a": inner} if level % 2 else [inner]
    return inner


ODD: list[Any] = [
    None, True, False, 0, -1, 2**53 + 1, 2**63, 2**70, 10**30, 1.5, 1e300, float("nan"), float("inf"), "", " ", "0", "-1",
    "x" * 20_000, "😀" * 2_000, "\0", "a\0b", "\ud800", "a\udfff", "\u202e\u200b", "/", "/stop", "@", "<@", "\n" * 500,
    [], {}, [None], [[]], {"": None}, nested(60), nested(70), nested(400), ["x"] * 300,
]  # fmt: skip
WHATEVER = st.sampled_from(ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Where something stands in a payload, however deep."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*at, step)
        yield from places(inner, (*at, step))


@st.composite
def mutations(draw: st.DrawFn, platform: str, *, gateway: bool = False) -> tuple[str, Any]:
    """The name of a payload, and the payload with one to three things that are not as documented."""
    name = draw(st.sampled_from([name for name in names(platform) if name.startswith("gateway_") is gateway]))
    value = load(platform, name)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            break
        *above, last = draw(st.sampled_from(found))
        holder: Any = value
        for step in above:
            holder = holder[step]
        if draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = copy.deepcopy(draw(WHATEVER))
    return name, value


@pytest.fixture(params=PLATFORMS)
async def driver(request: pytest.FixtureRequest, settings: Any) -> AsyncIterator[Driver]:
    made = DRIVERS[request.param]()
    async with made.on(settings):
        settings.TELEGRAM_BOT_USERNAME = "DexBot"
        yield made


@pytest.fixture
async def http(driver: Driver, licensed: dict[str, str], pool: None) -> AsyncIterator[httpx.AsyncClient]:
    await link_account("demo-pro", driver.channel.name, driver.account)
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}/webhook/", timeout=60) as made,
    ):
        yield made


async def post(http: httpx.AsyncClient, driver: Driver, body: bytes, kind: str) -> httpx.Response:
    signed = driver.signed(body).with_headers(**{"Content-Type": kind})
    return await http.post(driver.channel.name, content=signed.body, headers=signed.headers)


async def test_every_payload_is_acknowledged(http: httpx.AsyncClient, driver: Driver) -> None:
    for name in names(driver.channel.name):
        if not name.startswith("gateway_"):
            response = await post(http, driver, *as_posted(name, load(driver.channel.name, name)))
            assert response.status_code == 200, name

    assert (await rows("SELECT count(*) > 0 FROM turns")) == [(True,)]


@EXAMPLES
@given(data=st.data())
async def test_whatever_is_wrong_in_a_payload_it_is_taken_or_refused_whole(
    http: httpx.AsyncClient, driver: Driver, data: st.DataObject
) -> None:
    name, value = data.draw(mutations(driver.channel.name))
    body, kind = as_posted(name, value)
    if data.draw(st.integers(0, 9)) == 9:
        body = body[: data.draw(st.integers(0, len(body)))]
    before = await rows(COUNTS)

    response = await post(http, driver, body, kind)

    assert response.status_code in {200, 400}, (name, response.status_code)
    assert not [leak for leak in LEAKS if leak in response.text]
    if response.status_code == 400:
        assert error_code(response, 400) == "invalid"
        assert await rows(COUNTS) == before, name


async def heard(message: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await hear(json.loads(json.dumps(message)), "123456")


@EXAMPLES
@given(mutated=mutations("discord", gateway=True))
async def test_whatever_is_wrong_in_a_message_of_the_gateway_the_next_is_heard(
    licensed: dict[str, str], pool: None, mutated: tuple[str, Any]
) -> None:
    await rows("DELETE FROM user_channel_links")
    await link_account("demo-pro", "discord", "7")
    await heard(mutated[1])


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_what_no_table_holds_holds_up_nothing_wherever_it_stands(
    licensed: dict[str, str], pool: None, text: str
) -> None:
    """A message that can't be stored would be tried for ever: Discord tells of it once."""
    await link_account("demo-pro", "discord", "7")
    for name in names("discord"):
        value = load("discord", name)
        for *above, last in places(value) if name.startswith("gateway_") else ():
            changed = copy.deepcopy(value)
            holder: Any = changed
            for step in above:
                holder = holder[step]
            holder[last] = text
            await heard(changed)

    assert await rows("SELECT (SELECT count(*) FROM turns), (SELECT count(*) FROM chat_inbox)") == [(0, 0)]

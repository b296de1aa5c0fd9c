"""Who may do what: every route of the URL configuration for the owner, another user, nobody, an expired licence and staff.

Source: DESIGN.md, section 4: credentials 401, forbidden 403, another's object = missing 404.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from accounts.models import ChannelLink, UserLicence
from agents.conversations import create_conversation
from agents.schedules.adding import Asked, create_task
from agents.schedules.rules import Rule
from agents.tests.engine import say, something_waits
from agents.turns import cancel_turn
from agents.uploads import add_upload
from channels_app.tests.live import http_of
from channels_app.tests.routes import Route, routes
from gateway.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)


class Row(NamedTuple):
    """The statuses of a route. The workspaces can't be reached: what needs one and is allowed ends with 503."""

    owner: int
    other: int
    anonymous: int
    expired: int
    staff: int


def _same(status: int) -> Row:
    return Row(status, status, status, status, status)


# A session of the admin opens nothing but the admin.
MINE = Row(200, 200, 401, 200, 401)
WORKSPACE = Row(503, 503, 401, 403, 401)

TABLE = {
    ("GET", "health"): _same(503),  # no worker runs
    ("GET", "health/live"): _same(200),
    ("GET", "metrics"): _same(200),
    ("GET", ""): Row(200, 200, 302, 200, 302),
    ("GET", "account/"): Row(200, 200, 302, 200, 302),
    ("GET", "signin/"): _same(200),
    ("GET", "signin/provider/"): _same(404),  # no provider is set
    ("GET", "signin/callback/"): _same(404),
    ("GET", "signed-out/"): Row(302, 302, 200, 302, 200),
    ("POST", "signin/"): _same(403),  # without the page's CSRF token
    ("POST", "signout/"): _same(403),
    ("POST", "language/"): _same(403),  # without the page's CSRF token
    ("GET", ".well-known/jwks.json"): _same(200),
    ("POST", "webhook/<str:channel>"): _same(401),
    ("GET", "api/schema"): _same(200),
    ("GET", "api/docs"): _same(200),
    ("GET", "api/v1/"): _same(404),
    ("GET", "^(api|webhook)(/|$)"): _same(404),
    ("POST", "api/v1/token"): _same(200),
    ("POST", "api/v1/ws-ticket"): Row(201, 201, 401, 201, 401),
    ("POST", "api/v1/session"): Row(201, 201, 401, 201, 401),
    ("GET", "api/v1/me"): MINE,
    ("GET", "api/v1/models"): Row(200, 200, 401, 403, 401),
    ("GET", "api/v1/usage"): MINE,
    ("GET", "api/v1/links"): MINE,
    ("POST", "api/v1/links/codes"): Row(201, 201, 401, 403, 401),
    ("POST", "api/v1/links/<str:link>/confirm"): Row(200, 404, 401, 403, 401),
    ("POST", "api/v1/links/<str:link>/reject"): Row(404, 404, 401, 404, 401),
    ("DELETE", "api/v1/links/<str:link>"): Row(204, 404, 401, 204, 401),
    ("GET", "api/v1/conversations"): MINE,
    ("POST", "api/v1/conversations"): Row(201, 201, 401, 403, 401),
    ("GET", "api/v1/conversations/<str:conversation>"): Row(503, 404, 401, 403, 401),
    ("PATCH", "api/v1/conversations/<str:conversation>"): Row(200, 404, 401, 200, 401),
    ("DELETE", "api/v1/conversations/<str:conversation>"): Row(503, 404, 401, 403, 401),
    ("GET", "api/v1/turns"): MINE,
    ("POST", "api/v1/turns"): Row(202, 202, 401, 403, 401),
    ("GET", "api/v1/turns/<str:turn>"): Row(200, 404, 401, 200, 401),
    ("POST", "api/v1/turns/<str:turn>/cancel"): Row(202, 404, 401, 202, 401),
    ("GET", "api/v1/turns/<str:turn>/events"): Row(200, 404, 401, 200, 401),
    ("GET", "api/v1/preferences"): WORKSPACE,
    ("PUT", "api/v1/preferences"): WORKSPACE,
    ("PATCH", "api/v1/preferences"): WORKSPACE,
    ("GET", "api/v1/approvals"): MINE,
    ("GET", "api/v1/approvals/<str:approval>"): Row(200, 404, 401, 200, 401),
    ("POST", "api/v1/approvals/<str:approval>/decision"): Row(200, 404, 401, 403, 401),
    ("GET", "api/v1/questions"): MINE,
    ("POST", "api/v1/questions/<str:question>/answer"): Row(200, 404, 401, 403, 401),
    ("GET", "api/v1/uploads"): MINE,
    ("POST", "api/v1/uploads"): Row(201, 201, 401, 403, 401),
    ("DELETE", "api/v1/uploads/<str:upload>"): Row(204, 404, 401, 204, 401),
    ("GET", "api/v1/schedules"): MINE,
    ("POST", "api/v1/schedules"): Row(201, 201, 401, 403, 401),
    ("PATCH", "api/v1/schedules/<str:schedule>"): Row(200, 404, 401, 403, 401),
    ("DELETE", "api/v1/schedules/<str:schedule>"): Row(204, 404, 401, 204, 401),
    ("GET", "api/v1/pictures/<str:picture>"): Row(404, 404, 401, 404, 401),
    ("GET", "api/v1/backtests/<str:backtest>/chart.png"): Row(404, 404, 401, 403, 401),
    ("GET", "api/v1/workspace"): MINE,
    ("POST", "api/v1/workspace"): Row(202, 202, 401, 202, 401),
    ("DELETE", "api/v1/session"): Row(204, 204, 401, 204, 401),
}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "api/v1/schedules"): {"kind": "task", "every": "daily", "at": "08:00", "text": "portfolio review"},
    ("PATCH", "api/v1/schedules/<str:schedule>"): {"channel": "web"},
    ("POST", "api/v1/token"): {"user": "demo-pro"},
    ("PATCH", "api/v1/conversations/<str:conversation>"): {"title": "x"},
    ("POST", "api/v1/conversations"): {},
    ("POST", "api/v1/turns"): {"content": "Hello"},
    ("POST", "api/v1/approvals/<str:approval>/decision"): {"decision": "reject"},
    ("POST", "api/v1/questions/<str:question>/answer"): {"values": {"colour": "red"}},
    ("POST", "api/v1/links/codes"): {"channel": "telegram"},
    ("POST", "api/v1/workspace"): {"action": "stop"},
    ("PUT", "api/v1/preferences"): {},
    ("PATCH", "api/v1/preferences"): {},
}
FILES: dict[tuple[str, str], Any] = {("POST", "api/v1/uploads"): {"file": ("notes.md", b"# Rules")}}
PUBLIC_OF_ADMIN = {"admin/login/": 200, "admin/logout/": 302}
RULE = Rule("daily", 8, 0)
USERS = {"owner": "demo-pro", "other": "demo-free", "expired": "demo-enterprise"}
KNOWN = {route.pattern: route for route in routes()}


def test_every_route_has_its_row() -> None:
    """A new route under the admin is held to the admin's rule; any other needs a row for each of its methods."""
    found = {(method, route.pattern) for route in KNOWN.values() for method in route.methods or ("",)}
    of_table = {(method if KNOWN[pattern].methods else "", pattern) for method, pattern in TABLE if pattern in KNOWN}

    assert {pattern for _, pattern in TABLE} <= set(KNOWN), "rows of routes that are gone"
    assert {key for key in found if not key[1].startswith("admin/")} - of_table - {("", "api/v1/")} == set()


@pytest.fixture
async def theirs(gateway: str, settings: Any) -> dict[str, dict[str, str]]:
    """Objects of the owner and of the expired user, by the name of a route's parameter."""
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = "1:token", "only-for-tests"
    made = {}
    for user in (USERS["owner"], USERS["expired"]):
        turn = (await say("Hello", user=user)).turn
        await cancel_turn(turn, user_id=user)
        made[user] = {"conversation": (await create_conversation(user)).id, "turn": turn, "channel": "telegram"}
        made[user] |= {"approval": await something_waits(user), "question": await something_waits(user, "ask what")}
        row = await ChannelLink.objects.acreate(
            user_id=user, channel_type="telegram", channel_user_id=str(4000 + len(made))
        )
        made[user]["link"] = str(row.id)
        made[user]["upload"] = (await add_upload(user, name="a.txt", content=b"x", channel="web")).id
        made[user]["schedule"] = (await create_task(Asked(user, "web"), RULE, "review", time_zone="UTC")).id
    await UserLicence.objects.filter(user_id=USERS["expired"]).aupdate(expires_at=timezone.now())
    return made


@asynccontextmanager
async def _speaking_as(who: str, gateway: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token and a page's session; staff has the admin's session only, and anonymous nothing."""
    async with http_of(gateway, USERS.get(who)) as http:
        if who in USERS:
            assert (await http.post("/api/v1/session")).status_code == 201
        if who == "staff":
            http.cookies.update(await sync_to_async(_staff_cookies)())
        yield http


def _staff_cookies() -> dict[str, str]:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return {name: morsel.value for name, morsel in client.cookies.items()}


async def _ask(http: httpx.AsyncClient, key: tuple[str, str], values: dict[str, str]) -> httpx.Response:
    method, pattern = key
    return await http.request(method, KNOWN[pattern].path(**values), json=BODIES.get(key), files=FILES.get(key))


@pytest.mark.parametrize("who", Row._fields)
async def test_every_route_is_open_to_those_it_is_for(gateway: str, theirs: dict[str, Any], who: str) -> None:
    values = theirs[USERS["expired" if who == "expired" else "owner"]]
    async with _speaking_as(who, gateway) as http:
        told = {key: (await _ask(http, key, values)).status_code for key in TABLE}

    assert told == {key: getattr(row, who) for key, row in TABLE.items()}


async def test_what_is_anothers_is_answered_as_what_is_missing(gateway: str, theirs: dict[str, Any]) -> None:
    """Over every route that names an object: the same status and the same body, but for the request's id."""
    values = theirs[USERS["owner"]]
    async with _speaking_as("other", gateway) as http:
        for key in (key for key in TABLE if "<str:" in key[1]):
            answers = [await _ask(http, key, each) for each in (values, values | _missing(values))]
            for answer in answers:
                assert answer.json()["error"].pop("request_id")
            theirs_, missing = ((answer.status_code, _told(answer)) for answer in answers)
            assert theirs_ == missing, key


def _missing(values: dict[str, str]) -> dict[str, str]:
    return {name: new_id() for name in values if name != "channel"}


def _told(answer: httpx.Response) -> tuple[str, str]:
    error = answer.json()["error"]
    return error["code"], error["message"]


ADMIN = [route for route in KNOWN.values() if route.pattern.startswith("admin/")]


@pytest.mark.parametrize("who", ["owner", "anonymous", "expired"])
async def test_every_route_of_the_admin_is_for_staff(gateway: str, theirs: dict[str, Any], who: str) -> None:
    async with _speaking_as(who, gateway) as http:
        for route in ADMIN:
            answer = await http.get(route.path(app_label="accounts", url="nothing"))
            if route.pattern in PUBLIC_OF_ADMIN:
                assert answer.status_code == PUBLIC_OF_ADMIN[route.pattern], route
            else:
                assert answer.status_code == 302, route
                assert answer.headers["Location"].startswith("/admin/login/"), route


async def test_staff_opens_every_list_of_the_admin(gateway: str, theirs: dict[str, Any]) -> None:
    lists = [
        Route("admin/", ()),
        *(route for route in ADMIN if route.pattern.count("/") == 3 and "(" not in route.pattern),
    ]
    async with _speaking_as("staff", gateway) as http:
        told = {
            route.pattern: (await http.get(route.path())).status_code for route in lists if "<" not in route.pattern
        }

    assert set(told.values()) == {200}, told

"""The account page and the links behind it, as a test has them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from accounts.budgets import BudgetState
from accounts.errors import Window
from accounts.usage import UsageLine
from accounts.usage_report import Standing
from agents.tests.licences import licence
from channels_app.tests.browser.gateway_double import JSON, USER, GatewayDouble, problem
from channels_app.usage_page import UsageShown, days_until, usage_shown

EXPIRES = "2026-01-05T14:10:00.123456Z"
DEEP_LINK = "https://t.me/dexorder_bot?start=AAAAAAAAAAAAAAAAAAAAAA"


def request(number: int = 1, *, state: str = "pending", name: str | None = "Ada (@ada)", **fields: Any) -> JSON:
    """A request as the API gives it."""
    pending = state == "pending"
    account = {"account": "4711" if pending else None, "name": name if pending else None}
    return {
        "id": f"r{number}",
        "channel": "telegram",
        "state": state,
        "expires_at": in_ten_minutes(),
        **account,
        **fields,
    }


def link(number: int = 1, *, name: str = "Ada (@ada)", account: str = "4711") -> JSON:
    """A link as the API gives it."""
    return {"id": f"r{number}", "channel": "telegram", "account": account, "name": name, "created_at": EXPIRES}


def alert(number: int = 1, *, symbol: str = "BTC", channel: str = "web", reason: str = "") -> JSON:
    """An alert as the API gives it."""
    of = {"symbol": symbol, "direction": "below", "level": "50000.5"}
    return _schedule(number, channel=channel, reason=reason) | {"kind": "alert", "alert": of, "task": None}


def task(number: int = 2, *, text: str = "portfolio review", channel: str = "web", state: str = "active") -> JSON:
    """A weekly task as the API gives it."""
    of = {"every": "weekly", "day": "monday", "at": "08:30", "time_zone": "Asia/Tokyo", "text": text}
    reason = "Your Dexorder licence has expired." if state == "paused" else ""
    return _schedule(number, channel=channel, reason=reason) | {
        "kind": "task",
        "state": state,
        "task": of,
        "alert": None,
    }


def _schedule(number: int, *, channel: str, reason: str) -> JSON:
    return {"id": f"s{number}", "number": number, "channel": channel, "state": "active", "reason": reason}


def in_ten_minutes() -> str:
    """A moment of the API's form."""
    return (datetime.now(UTC) + timedelta(minutes=10)).isoformat().replace("+00:00", "Z")


def usage(*, days: int = 30) -> UsageShown:
    """A month of somebody who asks a lot: every kind of bar and gauge, and a model's name that is long."""
    of = days_until(date(2026, 1, 5), count=days)
    models = ("anthropic/claude-sonnet-4-5", "openrouter/some-vendor/a-model-with-a-very-long-name-indeed:free", "")
    lines = [
        UsageLine(
            user_id=USER, day=day, model=model, channel=("web", "telegram")[number % 2], turns=1 + 7 * number % 9,
            failed_turns=number % 2, input_tokens=12_345 * (1 + number % 5), cached_tokens=9_000 * (number % 4 // 3),
            output_tokens=2_345 * (number % 3), cost_usd=Decimal("0.0371") * (number % 6), tool_calls=number,
        )
        for number, day in enumerate(of) for model in models[: 1 + number % 3]
    ]  # fmt: skip
    lines += [UsageLine(user_id=USER, day=day, model="", channel="", workspace_s=60 * (9 + day.day)) for day in of]
    now = datetime(2026, 1, 5, 14, tzinfo=UTC)
    windows = (
        Window("minute", 60, 60, 3, 20, now + timedelta(seconds=20)),
        Window("day", 86400, 2000, 2000, 7200, now + timedelta(hours=2)),
    )
    budget = BudgetState(17_000_000, 0, Decimal("12.34"), Decimal(0), datetime(2026, 2, 1, tzinfo=UTC), now)
    labels = {"web": "Web", "telegram": "Telegram"}
    return usage_shown(lines, Standing(licence(), windows, budget), days=of, labels=labels)


class AccountDouble(GatewayDouble):
    """Serves the page with what stands in `links` and `requests`; `refusal` answers the next change."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[JSON] = []
        self.requests_: list[JSON] = []
        self.schedules: list[JSON] = []
        self.context: JSON = {"tier": "pro", "expires_at": None, "facts": [], "usage": usage()}
        self.refusal: tuple[int, str] | None = None
        self.deep_link: str | None = DEEP_LINK
        self.changes: list[str] = []
        self.life = timedelta(minutes=10)

    def _application(self) -> web.Application:
        application = super()._application()
        application.add_routes(
            [
                web.get("/account/", self._account),
                web.get("/api/v1/links", self._links),
                web.post("/api/v1/links/codes", self._code),
                web.post("/api/v1/links/{link}/{decision}", self._decide),
                web.delete("/api/v1/links/{link}", self._unlink),
                web.patch("/api/v1/schedules/{schedule}", self._redirect),
                web.delete("/api/v1/schedules/{schedule}", self._end),
            ]
        )
        return application

    async def _account(self, request: web.Request) -> web.Response:
        config: JSON = {
            "linksUrl": "/api/v1/links",
            "now": datetime.now(UTC).isoformat(),
            "channels": {"telegram": "Telegram"},
        }
        config |= {"links": self.links, "requests": self.requests_}
        config |= {"schedulesUrl": "/api/v1/schedules", "schedules": self.schedules}
        channels = [{"name": "telegram", "label": "Telegram"}]
        return self.render(
            "account.html", {"user_id": USER, "config": config, "channels": channels} | self.context, request
        )

    async def _links(self, _: web.Request) -> web.Response:
        if self.refusal is not None and self.refusal[0] == 401:
            return problem(401, "unauthorized", "Signed out.")
        return web.json_response({"links": self.links, "requests": self.requests_})

    async def _code(self, asked: web.Request) -> web.Response:
        if (refused := self._refused(asked)) is not None:
            return refused
        expires_at = (datetime.now(UTC) + self.life).isoformat()
        self.requests_ = [each for each in self.requests_ if each["state"] != "open"]
        self.requests_.insert(0, request(len(self.changes), state="open", expires_at=expires_at))
        answer = {
            "code": "ABCD2345",
            "command": "/link ABCD2345",
            "deep_link": self.deep_link,
            "expires_at": expires_at,
        }
        return web.json_response(answer, status=201)

    async def _decide(self, asked: web.Request) -> web.Response:
        if (refused := self._refused(asked)) is not None:
            return refused
        (decided,) = [each for each in self.requests_ if each["id"] == asked.match_info["link"]]
        self.requests_.remove(decided)
        if asked.match_info["decision"] == "reject":
            return web.Response(status=204)
        self.links.append(link(account=decided["account"], name=decided["name"]))
        return web.json_response(self.links[-1])

    async def _unlink(self, asked: web.Request) -> web.Response:
        if (refused := self._refused(asked)) is not None:
            return refused
        self.links = [each for each in self.links if each["id"] != asked.match_info["link"]]
        return web.Response(status=204)

    async def _redirect(self, asked: web.Request) -> web.Response:
        if (refused := self._refused(asked)) is not None:
            return refused
        (moved,) = [each for each in self.schedules if each["id"] == asked.match_info["schedule"]]
        moved["channel"] = (await asked.json())["channel"]
        return web.json_response(moved)

    async def _end(self, asked: web.Request) -> web.Response:
        if (refused := self._refused(asked)) is not None:
            return refused
        self.schedules = [each for each in self.schedules if each["id"] != asked.match_info["schedule"]]
        return web.Response(status=204)

    def _refused(self, asked: web.Request) -> web.Response | None:
        self.changes.append(f"{asked.method} {asked.path}")
        if asked.headers.get("X-CSRFToken") != "page-token":
            return problem(403, "forbidden", "CSRF check failed.")
        return None if self.refusal is None else problem(self.refusal[0], "refused", self.refusal[1])

"""A gateway that plays a script: it serves the real page and its files, and the test speaks for the socket."""

import asyncio
import json
from collections import deque
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

from aiohttp import WSCloseCode, WSMsgType, web
from django.template.loader import render_to_string
from django.utils import translation

from gateway.languages import look_of
from gateway.middleware import PAGE_POLICY

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 10.0
USER = "demo-pro"
MAIN = "0198c0de-0000-7000-8000-00000000c0de"
OTHER = "0198c0de-0000-7000-8000-0000000000ff"

JSON = dict[str, Any]


def turn_id(number: int) -> str:
    """A turn's id: the UUIDv7 of the minute `number` after 2026-01-05 14:00 UTC."""
    stamp = f"{1767621600000 + number * 60_000:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7000-8000-{number:012x}"


class Socket:
    """One accepted socket of the page, driven frame by frame; a `dead` one answers no ping."""

    def __init__(self, peer: web.WebSocketResponse, protocols: list[str]) -> None:
        self._peer = peer
        self._received: asyncio.Queue[JSON] = asyncio.Queue()
        self._aside: deque[JSON] = deque()
        self.dead = False
        self.protocols = protocols

    async def listen(self) -> None:
        """Take in frames until the page closes; pings are answered as the gateway does."""
        async for message in self._peer:
            if message.type is not WSMsgType.TEXT:
                continue
            frame = json.loads(message.data)
            if frame["type"] == "ping" and self.dead:
                continue
            if frame["type"] == "ping":
                await self.send("pong")
            else:
                self._received.put_nowait(frame)

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one frame."""
        await self._peer.send_str(json.dumps({"type": kind, **fields}))

    async def receive(self, kind: str) -> JSON:
        """The page's next frame of this type; others wait for their own call."""
        for frame in self._aside:
            if frame["type"] == kind:
                self._aside.remove(frame)
                return frame
        async with asyncio.timeout(PATIENCE_S):
            while (frame := await self._received.get())["type"] != kind:
                self._aside.append(frame)
        return frame

    def has_received(self, kind: str) -> bool:
        """Whether a frame of this type has come and nobody has taken it."""
        while not self._received.empty():
            self._aside.append(self._received.get_nowait())
        return any(frame["type"] == kind for frame in self._aside)

    async def greet(
        self,
        *,
        running: tuple[str, ...] = (),
        items: tuple[JSON, ...] = (),
        before: str | None = None,
        turns: JSON | None = None,
    ) -> Self:
        """`ready`, then the history that the page asks for."""
        await self.send(
            "ready", user_id=USER, licence="pro", model="demo/demo", conversation=MAIN, running=list(running)
        )
        asked = await self.receive("history")
        page = {"items": list(items), "before": before, "turns": turns or {}}
        await self.send("history", conversation=asked["conversation"], **page)
        return self

    def turn(self, number: int, *, conversation: str = MAIN, seq: int = 0) -> "Turn":
        """Speak for a turn whose last sent event was `seq`."""
        return Turn(self, turn_id(number), conversation, seq)

    async def close(self, code: int = WSCloseCode.GOING_AWAY, *, reason: str = "") -> None:
        """Close with this code."""
        await self._peer.close(code=code, message=reason.encode())


class Turn:
    """Sends a turn's events with their running number."""

    def __init__(self, socket: Socket, turn: str, conversation: str, seq: int) -> None:
        self.socket, self.id, self.conversation, self.seq = socket, turn, conversation, seq

    async def accept(self, message: JSON, *, position: int = 0) -> Self:
        """Acknowledge the page's message and show it to all tabs."""
        await self.socket.send(
            "accepted", id=message["id"], turn=self.id, conversation=self.conversation, position=position
        )
        await self.emit("user_message", channel="web", content=message["content"])
        return self

    async def emit(self, kind: str, **fields: Any) -> None:
        """The next event."""
        self.seq += 1
        await self.repeat(kind, seq=self.seq, **fields)

    async def repeat(self, kind: str, *, seq: int, **fields: Any) -> None:
        """An event with a number of the test's choice."""
        await self.socket.send(kind, turn=self.id, conversation=self.conversation, seq=seq, **fields)

    async def start(self, *, attempt: int = 1) -> None:
        """A model was chosen."""
        await self.emit("started", model="demo/demo", reason="the default of your licence", attempt=attempt)

    async def say(self, *pieces: str) -> None:
        """Stream text."""
        for piece in pieces:
            await self.emit("token", content=piece)

    async def done(self, content: str, *, ms: int = 1400) -> None:
        """The whole answer."""
        usage = {"input_tokens": 812, "cached_tokens": 0, "output_tokens": 96, "cost_usd": None}
        await self.emit("done", content=content, model="demo/demo", usage=usage, ms=ms)


class GatewayDouble:
    """Serves on a free port of loopback; `async with` starts and stops it."""

    def __init__(self) -> None:
        self._sockets: asyncio.Queue[Socket] = asyncio.Queue()
        self.talks = Talks()
        self.models = ["demo/demo", "demo/large"]
        self.used = 12
        self.preferences: JSON = {}
        self._runner = web.AppRunner(self._application(), shutdown_timeout=0.1)
        self._tickets: set[str] = set()
        self.url = ""
        self.ticket_status = 200
        self.requests: list[str] = []
        self.signed_out: JSON | None = None
        self.uploads: dict[str, bytes] = {}
        self.upload_refusal = ""
        self.uploading = asyncio.Event()
        self.uploading.set()

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def socket(self) -> Socket:
        """The next socket that the page opens."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._sockets.get()

    def _application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/", self._page),
                web.get("/signin/", self._signin),
                web.post("/signout/", self._signout),
                web.get("/signed-out/", self._signed_out),
                web.post("/api/v1/ws-ticket", self._ticket),
                *self.talks.routes(),
                web.get("/api/v1/models", self._models),
                web.get("/api/v1/usage", self._usage),
                web.get("/api/v1/preferences", self._preferred),
                web.patch("/api/v1/preferences", self._prefer),
                web.post("/language/", self._speak),
                web.post("/api/v1/uploads", self._upload),
                web.delete("/api/v1/uploads/{upload}", self._forget),
                web.get("/ws/chat", self._chat),
                web.static("/static", ROOT / "static"),
            ]
        )
        application.on_response_prepare.append(self._seal)
        return application

    async def _seal(self, request: web.Request, response: web.StreamResponse) -> None:
        self.requests.append(request.path_qs)
        response.headers["Content-Security-Policy"] = PAGE_POLICY

    async def _page(self, request: web.Request) -> web.Response:
        config: JSON = {"wsPath": "/ws/chat", "ticketUrl": "/api/v1/ws-ticket", "userId": USER, "tier": "pro"}
        config["channels"] = {"telegram": "Telegram", "webhook": "Acme Chat"}
        config["languageChosen"] = "language" in request.cookies
        return self.render("chat.html", {"user_id": USER, "tier": "pro", "config": config}, request)

    def render(self, template: str, context: JSON, request: web.Request) -> web.Response:
        """A page as the gateway writes it for this visitor."""
        language = request.cookies.get("language", "en")
        shown = context | look_of(language, theme=request.cookies.get("theme", "")) | {"csrf_token": "page-token"}
        with translation.override(language):
            return web.Response(text=render_to_string(template, shown), content_type="text/html")

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"models": [{"id": name} for name in self.models], "default": None})

    async def _usage(self, _: web.Request) -> web.Response:
        day = {"window": "day", "seconds": 86400, "limit": 100, "used": self.used, "resets_at": None}
        tokens = {"limit": 20_000_000, "used": 1_234_567, "reserved": 0, "resets_at": "2026-02-01T00:00:00Z"}
        return web.json_response({"limits": {"messages": [day], "tokens_per_month": tokens}})

    async def _prefer(self, request: web.Request) -> web.Response:
        self.preferences |= await request.json()
        return web.json_response(self.preferences)

    async def _preferred(self, request: web.Request) -> web.Response:
        answer = web.json_response(self.preferences)
        if "language" not in request.cookies and self.preferences.get("language"):
            answer.set_cookie("language", self.preferences["language"])
        return answer

    async def _speak(self, request: web.Request) -> web.Response:
        """As Django's set_language."""
        answer = web.HTTPSeeOther("/")
        answer.set_cookie("language", str((await request.post())["language"]))
        raise answer

    async def _signin(self, request: web.Request) -> web.Response:
        return web.Response(text=f"sign in, then {request.query['next']}")

    async def _signout(self, request: web.Request) -> web.Response:
        self.signed_out = parse_qs(await request.text())
        raise web.HTTPSeeOther("/signed-out/")

    async def _signed_out(self, request: web.Request) -> web.Response:
        return self.render("accounts/signed_out.html", {"can_sign_in": True}, request)

    async def _ticket(self, request: web.Request) -> web.Response:
        if request.headers.get("X-CSRFToken") != "page-token":
            return problem(403, "forbidden", "CSRF check failed.")
        if self.ticket_status != 200:
            return problem(self.ticket_status, "refused", "No ticket for you.")
        ticket = f"ticket-{len(self.requests)}"
        self._tickets.add(ticket)
        return web.json_response({"ticket": ticket, "expires_at": "2026-01-05T14:00:30Z"})

    async def _upload(self, request: web.Request) -> web.Response:
        """Keep the file as the next of `uploads`, once `uploading` is set."""
        if request.headers.get("X-CSRFToken") != "page-token":
            return problem(403, "forbidden", "CSRF check failed.")
        file = (await request.post())["file"]
        assert isinstance(file, web.FileField)
        await self.uploading.wait()
        if self.upload_refusal:
            return problem(400, "invalid", self.upload_refusal)
        name = f"file-{len(self.uploads) + 1}"
        self.uploads[name] = file.file.read()
        made = {"id": name, "name": file.filename, "kind": "text", "media_type": "text/plain", "size": 1}
        return web.json_response(made | {"expires_at": "2026-01-05T15:00:00Z"}, status=201)

    async def _forget(self, request: web.Request) -> web.Response:
        del self.uploads[request.match_info["upload"]]
        return web.Response(status=204)

    async def _chat(self, request: web.Request) -> web.WebSocketResponse:
        offered = [name.strip() for name in request.headers["Sec-WebSocket-Protocol"].split(",")]
        peer = web.WebSocketResponse(protocols=["dexorder.v1"])
        await peer.prepare(request)
        ticket = offered[1].removeprefix("dexorder.ticket.")
        if ticket not in self._tickets:
            await peer.close(code=4401)
            return peer
        self._tickets.remove(ticket)
        socket = Socket(peer, offered)
        self._sockets.put_nowait(socket)
        await socket.listen()
        return peer


class Talks:
    """The conversations of the API. `refusal` is what every change is answered with instead."""

    def __init__(self) -> None:
        self.items = [talk(MAIN, alias="main", title="")]
        self.refusal: tuple[int, str] | None = None
        self.page = 30

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of them."""
        return [
            web.get("/api/v1/conversations", self._list),
            web.post("/api/v1/conversations", self._make),
            web.patch("/api/v1/conversations/{id}", self._rename),
            web.delete("/api/v1/conversations/{id}", self._delete),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        sought, start = request.query.get("q", "").lower(), int(request.query.get("cursor", 0))
        found = [item for item in self.items if sought in item["title"].lower()]
        end = start + self.page
        shown = {"conversations": found[start:end], "next": str(end) if len(found) > end else None}
        return web.json_response(shown)

    async def _make(self, _: web.Request) -> web.Response:
        self.items.insert(0, talk(OTHER, title=""))
        return web.json_response(self.items[0], status=201)

    async def _rename(self, request: web.Request) -> web.Response:
        if self.refusal:
            return problem(self.refusal[0], "refused", self.refusal[1])
        (item,) = [each for each in self.items if each["id"] == request.match_info["id"]]
        item["title"] = (await request.json())["title"]
        return web.json_response(item)

    async def _delete(self, request: web.Request) -> web.Response:
        if self.refusal:
            return problem(self.refusal[0], "refused", self.refusal[1])
        self.items = [each for each in self.items if each["id"] != request.match_info["id"]]
        return web.Response(status=204)


def talk(conversation: str, *, title: str, alias: str = "") -> JSON:
    """A conversation as the API gives it."""
    used = "2026-01-05T14:00:00Z"
    return {"id": conversation, "alias": alias, "title": title, "model": None, "created_at": used, "updated_at": used}


def problem(status: int, code: str, message: str) -> web.Response:
    """A refusal in the one form."""
    return web.json_response({"error": {"code": code, "message": message, "request_id": "r"}}, status=status)

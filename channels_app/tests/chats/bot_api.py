"""A Bot API server on loopback that does what it was told, and keeps what it was asked."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

TOKEN = "123456:AAtestTokenThatMustNeverBeLogged-0123456"
PATIENCE_S = 10


@dataclass(frozen=True)
class Call:
    """A method with its parameters, and the token that it was called with; of a file's download, `file` is its path.

    `content` is what was uploaded.
    """

    method: str
    token: str
    parameters: dict[str, Any]
    file: str = ""
    content: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What the server answers; without a status or body of its own, success.

    `cut`: it closes the connection after it has read the request, and with `done` after it did it; `held`: it waits for
    `released` before it answers.
    """

    status: int = 200
    body: bytes = b""
    cut: bool = False
    done: bool = False
    held: bool = False


CUT = Reply(cut=True)
HELD = Reply(held=True)
BLOCKED = "Forbidden: bot was blocked by the user"
BAD_MARKUP = "Bad Request: can't parse entities: Unsupported start tag"


def refusal(status: int, description: str, **parameters: Any) -> Reply:
    """An error in the Bot API's own form."""
    error: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if parameters:
        error["parameters"] = parameters
    return Reply(status, json.dumps(error).encode())


def flood(retry_after_s: int) -> Reply:
    """429 with its wait."""
    return refusal(429, f"Too Many Requests: retry after {retry_after_s}", retry_after=retry_after_s)


@dataclass
class Limits:
    """What Telegram bears, in a time that passes `scale` times as fast: 30 messages a second, one a second in a chat, 20 a
    minute in a group. Whoever goes on while a chat is closed to it is closed out for longer.

    Source: Bot API FAQ, "My bot is hitting limits".
    """

    scale: float = 1.0
    refused: int = 0
    ignored: int = 0
    _times: dict[int, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _closed: dict[int, tuple[float, int]] = field(default_factory=dict)

    def refuse(self, chat: int) -> int | None:
        """The wait that a message to `chat` is told now, in seconds; None when it may be shown."""
        now = asyncio.get_running_loop().time() * self.scale
        until, wait = self._closed.get(chat, (0.0, 0))
        if now < until:
            self.ignored += 1
        elif not self._full(0, 30, 1.0, now) and not (
            self._full(chat, 20, 60.0, now) if chat < 0 else self._full(chat, 1, 1.0, now)
        ):
            for key in (0, chat):
                self._times[key].append(now)
            return None
        self.refused += 1
        wait = 2 * wait if now < until else 1
        self._closed[chat] = (now + wait, wait)
        return wait

    def _full(self, key: int, most: int, seconds: float, now: float) -> bool:
        times = self._times[key]
        while times and times[0] <= now - seconds:
            times.popleft()
        return len(times) >= most


@dataclass
class BotApi:
    """Replies in the order of `script`, then with success; `shown` is what a user sees, chat by chat.

    `edited` is what became of messages, by their ids: the first that was shown has the id 1001. `files` are those that people
    sent, by the ids that the messages name. `moved` are groups that became supergroups, with their new ids. What is done is told
    after `latency_s`.
    """

    calls: list[Call] = field(default_factory=list)
    script: deque[Reply] = field(default_factory=deque)
    shown: list[tuple[int, str]] = field(default_factory=list)
    edited: dict[int, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    pictures: list[bytes] = field(default_factory=list)
    moved: dict[int, int] = field(default_factory=dict)
    limits: Limits | None = None
    latency_s: float = 0.0
    port: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _served: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def texts(self, chat: int) -> list[str]:
        """What was shown in a chat."""
        return [text for shown_in, text in self.shown if shown_in == chat]

    async def until(self, condition: Callable[["BotApi"], bool]) -> None:
        """Wait until what was asked fulfils the condition."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._served.add(asyncio.create_task(self._serve(reader, writer)))

    async def stop(self) -> None:
        """Cut every connection, whatever it waits for."""
        # One that was accepted just now has its task in a moment.
        await asyncio.sleep(0)
        for task in self._served:
            task.cancel()
        await asyncio.gather(*self._served, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        call = await _read(reader)
        reply = self.script.popleft() if self.script else Reply()
        self.calls.append(call)
        async with self._changed:
            self._changed.notify_all()
        if reply.held:
            await self.released.wait()
        if reply.cut:
            if reply.done:
                self._success(call)
            return False
        if not reply.body and reply.status == 200:
            reply = self._download(call) if call.file else self._success(call)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        head = f"HTTP/1.1 {reply.status} Scripted\r\nContent-Type: application/json\r\nContent-Length: {len(reply.body)}\r\n\r\n"
        writer.write(head.encode() + reply.body)
        await writer.drain()
        return True

    def _success(self, call: Call) -> Reply:
        result: Any = True
        if self.limits and "text" in call.parameters and (wait := self.limits.refuse(int(call.parameters["chat_id"]))):
            return flood(wait)
        if (new := self.moved.get(int(call.parameters.get("chat_id", 0)))) is not None:
            return refusal(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=new)
        if call.method in {"sendMessage", "sendPhoto", "sendDocument"}:
            chat = int(call.parameters["chat_id"])
            self.shown.append((chat, call.parameters["text" if call.method == "sendMessage" else "caption"]))
            self.pictures += [call.content] if call.content else []
            result = {"message_id": 1000 + len(self.shown), "date": 1, "chat": {"id": chat, "type": "private"}}
        elif call.method == "getFile":
            return self._file(call.parameters["file_id"])
        elif call.method == "editMessageText":
            self.edited[int(call.parameters["message_id"])] = call.parameters["text"]
            chat = int(call.parameters["chat_id"])
            result = {
                "message_id": int(call.parameters["message_id"]),
                "date": 1,
                "chat": {"id": chat, "type": "private"},
            }
        elif call.method == "getWebhookInfo":
            result = {
                "url": "https://gw.example/webhook/telegram",
                "has_custom_certificate": False,
                "pending_update_count": 2,
            }
        return Reply(200, json.dumps({"ok": True, "result": result}).encode())

    def _file(self, file_id: str) -> Reply:
        """Source: Bot API, getFile: "For the moment, bots can download files of up to 20MB in size"."""
        content = self.files.get(file_id)
        if content is None:
            return refusal(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(content) > 20_000_000:
            return refusal(400, "Bad Request: file is too big")
        result = {
            "file_id": file_id,
            "file_unique_id": "u",
            "file_size": len(content),
            "file_path": f"documents/{file_id}",
        }
        return Reply(200, json.dumps({"ok": True, "result": result}).encode())

    def _download(self, call: Call) -> Reply:
        content = self.files.get(call.file.removeprefix("documents/"))
        return Reply(404, b"Not Found") if content is None else Reply(200, content)


async def _read(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    request_line, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    steps = request_line.split(" ")[1].split("/", 3)
    if steps[1] == "file":
        return Call("", steps[2].removeprefix("bot"), {}, file=steps[3])
    parameters, content = _form(headers.get("content-type", ""), body)
    return Call(steps[2], steps[1].removeprefix("bot"), parameters, content=content)


def _form(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The fields of a form, and the file in it."""
    if not content_type.startswith("multipart/form-data"):
        return dict(parse_qsl(body.decode())), b""
    message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields: dict[str, Any] = {}
    content = b""
    for part in message.get_payload():
        assert isinstance(part, Message)
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        if part.get_filename():
            content = payload
        else:
            fields[str(part.get_param("name", header="content-disposition"))] = payload.decode()
    return fields, content


@asynccontextmanager
async def bot_api_server() -> AsyncIterator[BotApi]:
    """The server for the time of the block."""
    api = BotApi()
    server = await asyncio.start_server(api.connected, "127.0.0.1", 0)
    api.port = server.sockets[0].getsockname()[1]
    try:
        yield api
    finally:
        server.close()
        await api.stop()
        await server.wait_closed()

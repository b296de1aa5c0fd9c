"""The gateway's peers on loopback: a Bot API that keeps what was sent, a language model that writes at a given pace."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import httpx

from gateway.embedded.ports import free_port
from gateway.tests.e2e.processes import ROOT, http, until


@dataclass(frozen=True)
class Sent:
    """A message as a chat shows it."""

    chat: int
    text: str


@dataclass
class BotApi:
    """Takes every call; `sent` are the messages, in their order."""

    url: str
    sent: list[Sent] = field(default_factory=list)

    def texts(self, chat: int) -> list[str]:
        """What a chat shows."""
        return [message.text for message in self.sent if message.chat == chat]

    def take(self, method: str, parameters: dict[str, str]) -> Any:
        """The result of a method. Source: Bot API, "Making requests", "sendMessage" and "editMessageText"."""
        if method not in {"sendMessage", "editMessageText"}:
            return True
        chat, text = int(parameters["chat_id"]), parameters["text"]
        if method == "editMessageText":
            number = int(parameters["message_id"])
            self.sent[number - 1] = Sent(chat, text)
        else:
            self.sent.append(Sent(chat, text))
            number = len(self.sent)
        return {"message_id": number, "date": 1, "chat": {"id": chat, "type": "private"}}


@contextmanager
def bot_api() -> Iterator[BotApi]:
    """A Bot API for the time of the block."""
    api = BotApi("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the name that http.server calls
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            result = api.take(self.path.rpartition("/")[2], dict(parse_qsl(body)))
            answer = json.dumps({"ok": True, "result": result}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="bot api")
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Model:
    """The benchmarks' stand-in for a language model, which speaks OpenAI's format."""

    url: str

    def write(self, tokens: int, *, delay_ms: int = 0) -> str:
        """From now on answer with so many tokens, one each `delay_ms`; the whole text."""
        http.post(f"{self.url}/config", json={"tokens": tokens, "delay": delay_ms}).raise_for_status()
        return "".join(f"tok{number} " for number in range(tokens))

    def requests(self) -> int:
        """How often it was asked."""
        return int(http.get(f"{self.url}/stats").json()["requests"])

    def answers(self) -> bool:
        """Whether it listens."""
        try:
            return http.get(f"{self.url}/health").is_success
        except httpx.TransportError:
            return False


@contextmanager
def model() -> Iterator[Model]:
    """The stand-in for the time of the block."""
    port = free_port()
    command = ["setpriv", "--pdeathsig=KILL", sys.executable, "bench/stub_llm.py", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    found = Model(f"http://127.0.0.1:{port}")
    try:
        until(found.answers, what="the model")
        yield found
    finally:
        process.kill()
        process.wait()

"""Secrets are planted in a deployment, which is driven through successes and failures: none comes out anywhere.

Source: DESIGN.md, section 4: no traceback, SQL, path or secret ever leaves; docs/security.md, Secrets: they stand in no log,
answer or row.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from accounts.tests.signing_in import person_at
from gateway.embedded.ports import free_port
from gateway.testing.openid import CLIENT, certified_provider
from gateway.tests.e2e.clients import Chat, chat, update
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.databases import ACCOUNTS
from gateway.tests.e2e.leaks import found_in, kept_by, secrets_of
from gateway.tests.e2e.peers import BotApi, Model
from gateway.tests.e2e.processes import Deployment, Process, Server, until

PRO = ACCOUNTS["demo-pro"]
DEAD = f"http://127.0.0.1:{free_port()}"
# Nothing of their shape gives them away but the bot token's, which Telegram's rules fix.
PLANTED = {
    "SECRET_KEY": "canary-of-the-secret-key-canary-of-the-secret-key-canary",
    "TELEGRAM_BOT_TOKEN": "987654321:AAcanary_of_the_bot_token_canary_of",
    "TELEGRAM_WEBHOOK_SECRET": "canary-of-the-webhook-secret",
    "OPENAI_API_KEY": "canary-of-the-model-key",
    "OIDC_CLIENT_SECRET": "known-to-the-gateway-and-the-provider",
}


@dataclass
class Witness:
    """Everything that came out of the gateway, and the secrets that must not be in it."""

    running: Deployment
    secrets: dict[str, str]
    # What a client was given on purpose, and what nobody may find in logs or rows all the same.
    credentials: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    def ask(self, server: Server, method: str, path: str, **options: Any) -> httpx.Response:
        """A request whose answer is looked at."""
        with httpx.Client(trust_env=False, timeout=30) as http:
            answer = http.request(method, f"{server.url}{path}", **options)
        self.heard.append(f"{answer.headers}\n{answer.text}")
        return answer

    def token(self, server: Server) -> str:
        """A token for demo-pro."""
        token = server.token("demo-pro")
        self.credentials[f"token {len(self.credentials)}"] = token
        return token

    def leaks(self) -> list[str]:
        """Where which secret came out."""
        answers = {f"answer {number}": text for number, text in enumerate(self.heard)}
        return found_in(answers, self.secrets) + found_in(kept_by(self.running), self.secrets | self.credentials)


def private_key() -> str:
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


@pytest.fixture
def witness(deploy: Deploy, request: pytest.FixtureRequest) -> Iterator[Witness]:
    port, at_provider, key = free_port(), free_port(), private_key()
    settings = PLANTED | {
        "PORT": str(port),
        "ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
        "OIDC_ISSUER": f"http://127.0.0.1:{at_provider}",
        "OIDC_CLIENT_ID": CLIENT,
        "WORKSPACE_SIGNING_KEY": key,
        "LOG_LEVEL": "DEBUG",
    }
    with (
        certified_provider(f"http://127.0.0.1:{port}/signin/callback/", port=at_provider),
        deploy(request.node.name, watched=False, **settings) as running,
    ):
        yield Witness(running, secrets_of(running))


def start(running: Deployment) -> Server:
    """Serve on PORT."""
    started: Process = running.manage("serve")
    server = Server(started.popen, started.log, port=int(running.environment["PORT"]))
    until(lambda: server.answers("/health"), what="the gateway")
    return server


def telegram_post(witness: Witness, server: Server, secret: str, **options: Any) -> httpx.Response:
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret, "Content-Type": "application/json"}
    return witness.ask(server, "POST", "/webhook/telegram", headers=headers, **options)


def sign_in(witness: Witness, server: Server) -> None:
    """At the provider, and into the page."""
    with httpx.Client(base_url=server.url, trust_env=False) as http, person_at(server.url) as person:
        to_provider = http.get("/signin/provider/")
        back = person.sign_in(to_provider.headers["Location"], login="demo-pro")
        landed = http.get(back)
        assert landed.status_code == 302
        witness.heard += [f"{answer.headers}\n{answer.text}" for answer in (to_provider, landed, http.get("/"))]
        witness.credentials["session"] = http.cookies["sessionid"]
        witness.credentials["code"] = httpx.URL(back).params["code"]
        headers = {"X-CSRFToken": http.cookies["csrftoken"]}
        witness.credentials["ticket"] = http.post("/api/v1/ws-ticket", json={}, headers=headers).json()["ticket"]


async def talk(witness: Witness, server: Server, content: str) -> dict[str, Any]:
    """A question over the socket; its last event."""
    async with chat(server, "demo-pro", token=witness.token(server)) as client:
        last = await client.end_of(await client.begin(content))
    witness.heard += map(json.dumps, client.frames)
    return last


async def refused_upgrade(witness: Witness, server: Server, **options: Any) -> None:
    url = f"ws://127.0.0.1:{server.port}/ws/chat{options.pop('query', '')}"
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(url, proxy=None, **options):
            pass
    witness.heard.append(refusal.value.response.body.decode())


async def succeed(witness: Witness, server: Server, telegram: BotApi) -> None:
    sign_in(witness, server)
    assert (await talk(witness, server, "Hello!"))["type"] == "done"
    secret = PLANTED["TELEGRAM_WEBHOOK_SECRET"]
    assert telegram_post(witness, server, secret, json=update(1, "Hello!", account=PRO)).status_code == 200
    until(lambda: telegram.texts(PRO), what="the answer in Telegram")
    for path in ("/health", "/metrics", "/", "/api/v1/me", "/api/v1/models", "/signed-out/"):
        headers = {"Authorization": f"Bearer {witness.token(server)}"}
        witness.ask(server, "GET", path, headers=headers)


async def be_refused(witness: Witness, server: Server) -> None:
    token, secret = witness.token(server), PLANTED["TELEGRAM_WEBHOOK_SECRET"]
    assert telegram_post(witness, server, "guessed", json={}).status_code == 401
    for body in (b"{", b"\xff", b"[]", b'{"update_id": "x"}'):
        telegram_post(witness, server, secret, content=body)
    bad = {"Authorization": f"Bearer {token}x"}
    assert witness.ask(server, "GET", "/api/v1/me", headers=bad).status_code == 401
    assert witness.ask(server, "GET", f"/nothing/{token}?token={token}").status_code == 404
    await refused_upgrade(witness, server, query=f"?token={token}")
    await refused_upgrade(witness, server, additional_headers=bad)
    for path in ("/signin/callback/?code=guessed&state=guessed", "/admin/login/", "/api/v1/turns/x"):
        witness.ask(server, "GET", path)
    form = {"username": "admin", "password": "guessed"}
    witness.ask(server, "POST", "/admin/login/", data=form)
    url = f"ws://127.0.0.1:{server.port}/ws/chat"
    async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as raw:
        client = Chat(raw)
        await client.until("ready")
        await client.send("authenticate", token=f"{token}x")
        await client.until("error")
    witness.heard += map(json.dumps, client.frames)


async def fail(witness: Witness, server: Server) -> None:
    """The model, the chat platform and the sign-in service are away, then the database for a moment."""
    assert (await talk(witness, server, "Hello?"))["type"] == "failed"
    telegram_post(witness, server, PLANTED["TELEGRAM_WEBHOOK_SECRET"], json=update(2, "Hello?", account=PRO))
    failing = "SELECT count(*) FROM deliveries WHERE error <> ''"
    until(lambda: witness.running.ask(failing), what="a message that can't be sent")
    assert witness.ask(server, "GET", "/signin/provider/").status_code == 503
    headers = {"Authorization": f"Bearer {witness.token(server)}"}
    with psycopg.connect(witness.running.database_url, autocommit=True) as conn:
        for _ in range(5):
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            for path in ("/api/v1/me", "/health", "/signin/"):
                witness.ask(server, "GET", path, headers=headers)


def start_wrongly(running: Deployment) -> None:
    """What an operator gets wrong is said at start, with everything else of the settings in the environment."""
    wrong = {
        "DATABASE_URL": (
            running.database_url.replace("postgresql://", "mysql://"),
            DEAD.replace("http://", "postgresql://x:y@"),
        ),
        "TELEGRAM_WEBHOOK_SECRET": ("",),
        "WORKSPACE_SIGNING_KEY": (running.environment["WORKSPACE_SIGNING_KEY"][:60],),
        "AUTO_ENROL_TIER": ("gold",),
    }
    right = dict(running.environment)
    for name, values in wrong.items():
        for value in values:
            running.environment[name] = value
            assert running.manage("serve").ended() != 0, name
            running.environment.update(right)


@pytest.mark.timeout(300)  # three starts, an outage and five wrong starts
async def test_no_secret_comes_out_of_a_deployment(witness: Witness, telegram: BotApi, llm: Model, answer: str) -> None:
    running = witness.running
    server = start(running)
    await succeed(witness, server, telegram)
    await be_refused(witness, server)
    assert server.stop() == 0

    running.environment |= {"OPENAI_BASE_URL": f"{DEAD}/v1", "TELEGRAM_API_BASE_URL": DEAD, "OIDC_ISSUER": DEAD}
    server = start(running)
    await fail(witness, server)
    server.stop()
    start_wrongly(running)

    assert witness.leaks() == []


def test_the_search_would_find_what_leaks(witness: Witness) -> None:
    """The test's own test: each kind of place is looked at."""
    running, (name, secret) = witness.running, next(iter(PLANTED.items()))
    running.manage("shell", "--verbosity=0", "-c", f"print('{secret}')").ended()
    witness.heard.append(secret)
    with psycopg.connect(running.database_url) as conn:
        conn.execute("UPDATE user_licenses SET email = %s WHERE user_id = 'demo-pro'", (secret,))

    assert witness.leaks() == [f"{name} in {place}" for place in ("answer 0", "process-0.log", "user_licenses")]

"""OpenID providers that nobody here wrote, run on loopback in Node."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.embedded.ports import free_port
from gateway.testing.node import installed, node

FOLDER = Path(__file__).parent
CLIENT, SECRET = "dexorder", "known-to-the-gateway-and-the-provider"
STOP_S = 10


@dataclass
class Peer:
    """A provider that runs; `url` is its issuer."""

    url: str
    process: "subprocess.Popen[str]"

    def ask(self, command: str, **fields: Any) -> Any:
        """Have it do something (see mock.mjs); the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": command, **fields}) + "\n")
        self.process.stdin.flush()
        return self.read()["answer"]

    def read(self) -> dict[str, Any]:
        """Its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"Exit code {self.process.wait(STOP_S)}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def certified_provider(
    redirect_uri: str, *, method: str = "client_secret_basic", port: int | None = None
) -> Iterator[Peer]:
    """oidc-provider, which is certified, with a client CLIENT whose browsers may be sent to `redirect_uri`.

    It takes no other `method` of client authentication (OpenID Connect Core 1.0, section 9), and SECRET unless that is none.
    """
    client = {
        "client_id": CLIENT,
        "token_endpoint_auth_method": method,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
    }
    if method != "none":
        client["client_secret"] = SECRET
    with _running("certified.mjs", port=port or free_port(), methods=[method], clients=[client]) as peer:
        yield peer


@contextmanager
def mock_issuer() -> Iterator[Peer]:
    """oauth2-mock-server, with one RS256 key `one`; `ask` makes keys and tokens."""
    with _running("mock.mjs", port=free_port()) as peer:
        yield peer


@contextmanager
def _running(script: str, *, port: int, **options: Any) -> Iterator[Peer]:
    # The kernel ends it when the tests are killed.
    command = ["setpriv", "--pdeathsig=KILL", node(), script, json.dumps({"port": port, **options})]
    process = subprocess.Popen(
        command,
        cwd=installed(FOLDER),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        peer = Peer(f"http://127.0.0.1:{port}", process)
        peer.url = peer.read().get("issuer", peer.url)
        yield peer
    finally:
        process.kill()
        process.communicate(timeout=STOP_S)

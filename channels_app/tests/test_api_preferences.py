"""Source: DESIGN.md, section 4: preferences over HTTP, kept by a workspace that runs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from accounts.models import UserLicence
from agents import harness
from agents.preferences import Preferences
from agents.tests.doubles.mcp_double import mcp_double
from agents.tests.doubles.workspace import running_workspace
from channels_app.tests.live import error_code, http_of
from gateway.testing.forking import Zygote
from provisioning.tokens import public_key_file

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/preferences"


@pytest.fixture
async def workspace(gateway: str, settings: Any, tmp_path: Path, workspaces: Zygote) -> AsyncIterator[None]:
    """demo-pro's workspace runs."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    settings.WORKSPACE_SIGNING_KEY = pem.decode("ascii")
    with running_workspace(tmp_path, user="demo-pro", public_key=public_key_file(), zygote=workspaces) as url:
        settings.MCP_SERVER_URL_ALLOWLIST = [url]
        await UserLicence.objects.filter(user_id="demo-pro").aupdate(mcp_server_url=f"{url}/mcp")
        yield
        await harness.close()


async def test_preferences_are_changed_replaced_and_cleared(gateway: str, workspace: None) -> None:
    nothing = dict.fromkeys(Preferences.model_fields)
    async with http_of(gateway, "demo-pro") as http:
        assert (await http.get(URL)).json() == nothing

        given = {"language": "de", "max_drawdown_percent": 15, "watchlist": ["SPX"]}
        assert (await http.patch(URL, json=given)).json() == nothing | given
        assert (await http.patch(URL, json={"language": None})).json() == nothing | given | {"language": None}
        assert (await http.put(URL, json={"currency": "CHF"})).json() == nothing | {"currency": "CHF"}
        assert (await http.get(URL)).json() == nothing | {"currency": "CHF"}

        refused = await http.patch(URL, json={"time_zone": "Mars/Olympus"})
        assert error_code(refused, 400) == "invalid"
        assert "IANA" in refused.json()["error"]["message"]


async def test_a_server_of_the_staffs_that_keeps_none_is_no_error(gateway: str, settings: Any) -> None:
    async with mcp_double() as double:
        url = f"{double.server.url}/mcp"
        settings.MCP_SERVER_URL_ALLOWLIST = [url]
        await UserLicence.objects.filter(user_id="demo-pro").aupdate(mcp_server_url=url)
        async with http_of(gateway, "demo-pro") as http:
            assert set((await http.get(URL)).json().values()) == {None}
            assert error_code(await http.patch(URL, json={"language": "de"}), 501) == "not_available"
        await harness.close()


BAD = [[], "x", {"colour": "red"}, {"max_drawdown_percent": 0}, {"currency": "usd"}, {"watchlist": [1]},
       {"watchlist": ["SPX"] * 51}, {"language": 5}, {"risk_tolerance": "wild"}]  # fmt: skip


@pytest.mark.parametrize("body", BAD)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_what_is_no_preference_is_400(gateway: str, body: Any, method: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.request(method, URL, json=body), 400) == "invalid"


async def test_the_pages_speak_the_language_that_is_preferred(gateway: str, workspace: None) -> None:
    """A language that was chosen in this browser is not overruled by reading what is preferred."""
    async with http_of(gateway, "demo-pro") as http:
        assert "Set-Cookie" not in (await http.patch(URL, json={"language": "fr"})).headers
        assert "language=de" in (await http.patch(URL, json={"language": "de-AT"})).headers["Set-Cookie"]
        http.cookies.clear()
        assert "language=de" in (await http.get(URL)).headers["Set-Cookie"]
        assert (await http.get(URL)).cookies == {}

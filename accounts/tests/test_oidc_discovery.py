"""What a provider says of itself, and for how long that serves. The provider is npm's oauth2-mock-server."""

from collections.abc import Iterator

import pytest

from accounts.oidc_discovery import COOL_DOWN_S, MAX_AGE_S, REFRESH_AFTER_S, Provider
from accounts.signin_errors import ProviderAway
from gateway.embedded.ports import free_port
from gateway.testing.openid import Peer, mock_issuer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def peer() -> Iterator[Peer]:
    with mock_issuer() as running:
        yield running


async def test_what_it_said_serves_for_a_day_while_it_is_down(peer: Peer) -> None:
    clock = Clock()
    provider = Provider(peer.url, clock=clock)
    known = await provider.metadata()
    assert known["token_endpoint"] == f"{peer.url}/token"
    peer.ask("stop")

    clock.now += REFRESH_AFTER_S + 1
    assert await provider.metadata() == known
    clock.now += MAX_AGE_S
    with pytest.raises(ProviderAway):
        await provider.metadata()

    peer.ask("start")
    with pytest.raises(ProviderAway):
        await provider.metadata()
    clock.now += COOL_DOWN_S
    assert await provider.metadata() == known


async def test_a_document_of_another_issuer_is_none(peer: Peer) -> None:
    """Source: OpenID Connect Discovery 1.0, section 4.3."""
    with pytest.raises(ProviderAway):
        await Provider(peer.url.replace("localhost", "127.0.0.1")).metadata()


async def test_a_provider_that_was_never_there_is_away() -> None:
    with pytest.raises(ProviderAway):
        await Provider(f"http://127.0.0.1:{free_port()}").metadata()

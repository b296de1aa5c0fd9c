"""The client that the gateway comes to the API server with. Credentials are renewed before they end, and when they are refused.

Importing this takes seconds: see connecting.py.
"""

import asyncio
import time

import structlog
from django.core.exceptions import ImproperlyConfigured
from kubernetes.aio.client.api_client import ApiClient

from gateway.ending import end
from provisioning.backends._kubernetes.credentials import Credentials, client_of, read_credentials

# Between two tries, however many calls are refused, and however short is good what a plugin gives.
AGAIN_S = 10.0

log = structlog.get_logger(__name__)


class Access:
    """The client in use. A renewal runs beside the calls, one at a time: only a call that was refused waits for it.

    `version` counts the changes of what is sent.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.version = 0
        self._now = credentials
        self._client = client_of(credentials)
        # Of before the last change of address or certificates: what was under way goes on with it.
        self._former: ApiClient | None = None
        self._due = credentials.due
        # When a refusal last made us ask.
        self._asked = float("-inf")
        self._renewing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls) -> "Access":
        """The way that the settings name. Raises ImproperlyConfigured."""
        return cls(await read_credentials())

    @property
    def client(self) -> ApiClient:
        """The client for a request; a renewal that is due is begun."""
        if time.monotonic() >= self._due:
            self._begin()
        return self._client

    async def renewed(self, *, since: int) -> bool:
        """Whether there is something else to send than that version, which was refused."""
        if self.version == since:
            if time.monotonic() - self._asked >= AGAIN_S:
                self._asked = time.monotonic()
                self._begin()
            if self._renewing is not None:
                await asyncio.wait([self._renewing])
        return self.version != since

    async def close(self) -> None:
        """Close the connections."""
        if self._renewing is not None:
            await end([self._renewing])
        for client in (self._former, self._client):
            if client is not None:
                await client.close()  # type: ignore[no-untyped-call]  # of the client

    def _begin(self) -> None:
        self._due = time.monotonic() + AGAIN_S
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name="renew credentials")

    async def _renew(self) -> None:
        """Read them anew; what can't be read leaves those that were, and is tried again."""
        try:
            fresh = await read_credentials()
            client = self._client if fresh.frame == self._now.frame else client_of(fresh)
        except ImproperlyConfigured as error:
            log.error("kubernetes_credentials_not_renewed", error=str(error))  # noqa: TRY400 - where from is of no interest
            return
        except Exception as error:
            # A task that ends unseen would have no other come after it.
            log.exception("kubernetes_credentials_broke_unforeseen", error=type(error).__name__)
            return
        self._due = max(fresh.due, time.monotonic() + AGAIN_S)
        if (fresh.frame, fresh.token) == (self._now.frame, self._now.token):
            return
        self._now, self.version = fresh, self.version + 1
        self._client.configuration.api_key = dict(fresh.configuration.api_key)
        log.info("kubernetes_credentials_renewed")
        if client is not self._client:
            former, self._former, self._client = self._former, self._client, client
            if former is not None:
                await former.close()  # type: ignore[no-untyped-call]  # of the client

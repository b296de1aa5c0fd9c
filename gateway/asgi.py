"""The ASGI application: pages, API and webhooks over HTTP, chat over WebSocket."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

from gateway.database_url import provide_database_url

provide_database_url()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - Django must be configured first
from django.core.asgi import get_asgi_application  # noqa: E402

django_application = get_asgi_application()

from channels_app.bodies import BodyCap  # noqa: E402
from channels_app.routing import websocket_urlpatterns  # noqa: E402
from channels_app.webhooks import WebhookGuard  # noqa: E402
from gateway.db import open_pool  # noqa: E402

router = ProtocolTypeRouter(
    {
        "http": WebhookGuard(BodyCap(django_application)),
        "websocket": URLRouter(websocket_urlpatterns),  # type: ignore[arg-type]  # the stubs want a URLPattern of their own
    }
)


async def application(scope, receive, send):  # type: ignore[no-untyped-def]  # the ASGI signature
    """Serve one connection; the first one opens the loop's database pool (Daphne has no start-up event)."""
    if scope["type"] in {"http", "websocket"}:
        await open_pool()
    await router(scope, receive, send)

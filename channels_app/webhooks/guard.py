"""What stands before the webhooks: a stranger's body is not read, and nobody's past 1 MiB."""

from channels_app import metrics
from channels_app.asgi_types import App, Receive, Scope, Send
from channels_app.bodies import Gone, Refusal, Refused, answer, headers_of, read_body, refuse_large, replay, whole
from channels_app.channels import channel_that_is_on, channels, refuse_faults
from channels_app.webhooks.view import ADMITTED, FORGED, PREFIX, Admitted, WebhookApplication

_MISSING = Refusal(404, "not_found", "There is nothing here.")
_METHOD = Refusal(405, "method_not_allowed", "A webhook is posted to.")
_STRANGER = Refusal(401, "unauthorized", FORGED)


class WebhookGuard:
    """Give `webhooks` what a platform may have sent, and `app` all other paths."""

    def __init__(self, app: App, *, webhooks: App | None = None) -> None:
        """Raises ImproperlyConfigured for a channel that is only half configured."""
        refuse_faults()
        self._app = app
        self._webhooks = webhooks or WebhookApplication()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        name = scope["path"].removeprefix(PREFIX)
        try:
            admitted = _admitted(scope, name)
            body = await read_body(receive)
        except Refused as refused:
            label = name if channel_that_is_on(name) else "none"
            metrics.updates.labels(channel=label, outcome=refused.refusal.code).inc()
            await answer(send, refused.refusal)
        except Gone:
            metrics.updates.labels(channel=admitted.channel.name, outcome="gone").inc()
        else:
            await self._webhooks(whole(scope, body) | {ADMITTED: admitted}, replay(body, receive), send)


def _admitted(scope: Scope, name: str) -> Admitted:
    """The channel that may read this request's body. Raises Refused."""
    channel, headers = channels().get(name), headers_of(scope)
    # One that is off admits nothing.
    if channel is None or scope["method"] != "POST" or not channel.admits(headers):
        raise Refused(_reason(scope, name))
    refuse_large(headers)
    return Admitted(channel, headers)


def _reason(scope: Scope, name: str) -> Refusal:
    if channel_that_is_on(name) is None:
        return _MISSING
    return _METHOD if scope["method"] != "POST" else _STRANGER

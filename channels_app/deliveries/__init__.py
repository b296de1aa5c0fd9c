"""From the agent's outbox to a receipt of the platform: an intent is written before the first byte, and sent once."""

from channels_app.deliveries.dispatcher import Dispatcher
from gateway.services import Services


async def run(services: Services) -> None:
    """Deliver until `services.stopping` is set."""
    await Dispatcher(services).run()

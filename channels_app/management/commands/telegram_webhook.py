"""`manage.py telegram_webhook set|info|delete`: where Telegram posts what people write to the bot."""

import asyncio
import json
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError

from channels_app.channels import refuse_faults
from channels_app.channels._telegram import menu, webhook
from channels_app.channels.telegram import CHANNEL
from channels_app.errors import DeliveryError
from channels_app.webhooks import PREFIX


class Command(BaseCommand):
    """Set, show or remove the webhook and the menu."""

    help = "Set the bot's webhook with its secret and the menu of commands, show what Telegram knows of it, or remove both."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One action."""
        parser.add_argument("action", choices=["set", "info", "delete"])
        parser.add_argument("--url", default="", help="set: this gateway's public https address")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do the action and say how things stand."""
        refuse_faults()
        if not CHANNEL.is_on():
            raise CommandError("Set TELEGRAM_BOT_TOKEN and TELEGRAM_WEBHOOK_SECRET first.")
        address = _address(options["url"]) if options["action"] == "set" else ""
        try:
            state = asyncio.run(_act(options["action"], address))
        except DeliveryError as error:
            raise CommandError(f"Telegram did not do it: {error.cause}") from error
        if options["json"]:
            self.stdout.write(json.dumps(state))
            return
        for name, value in state.items():
            self.stdout.write(f"{name}: {value}")


async def _act(action: str, address: str) -> dict[str, Any]:
    try:
        if action == "set":
            await webhook.set_webhook(address)
            await menu.set_menus()
        elif action == "delete":
            await webhook.delete_webhook()
            await menu.delete_menus()
        return await webhook.webhook_info()
    finally:
        await CHANNEL.close()


def _address(url: str) -> str:
    """The webhook's own address; of a bare host, the path is ours."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise CommandError("--url is this gateway's public address, such as https://gateway.example.com")
    return url if parts.path.strip("/") else url.rstrip("/") + PREFIX + CHANNEL.name

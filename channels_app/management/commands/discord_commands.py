"""`manage.py discord_commands register`: tell Discord which slash commands the bot has."""

import asyncio
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from channels_app.channels import refuse_faults
from channels_app.channels._discord.commands import register
from channels_app.channels.discord import CHANNEL
from channels_app.errors import DeliveryError


class Command(BaseCommand):
    """Register the commands."""

    help = "Tell Discord which slash commands the bot has; those that it had before and are not among them go."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One action."""
        parser.add_argument("action", choices=["register"])
        parser.add_argument("--json", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Register them and say which there are."""
        refuse_faults()
        if not CHANNEL.is_on():
            raise CommandError("Set DISCORD_APPLICATION_ID, DISCORD_PUBLIC_KEY and DISCORD_BOT_TOKEN first.")
        try:
            names = asyncio.run(_register())
        except DeliveryError as error:
            raise CommandError(f"Discord did not do it: {error.cause}") from error
        if options["json"]:
            self.stdout.write(json.dumps({"commands": names}))
        else:
            self.stdout.write(f"{len(names)} commands: {' '.join(f'/{name}' for name in names)}")


async def _register() -> list[str]:
    try:
        return await register()
    finally:
        await CHANNEL.close()

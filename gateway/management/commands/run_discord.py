"""`manage.py run_discord`: hear direct messages to the Discord bot."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from channels_app.channels import refuse_faults
from channels_app.channels._discord.gateway import GatewayRefused
from channels_app.channels.discord import CHANNEL
from channels_app.direct_messages import listen
from gateway.db import close_pool, open_pool
from gateway.management.serving import STOPPING, starting


class Command(BaseCommand):
    """Hear until stopped."""

    help = "Hear direct messages to the Discord bot, beside the slash commands that the webhook hears."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Hear until SIGTERM or SIGINT."""
        refuse_faults()
        if not CHANNEL.is_on():
            raise CommandError("Set DISCORD_APPLICATION_ID, DISCORD_PUBLIC_KEY and DISCORD_BOT_TOKEN first.")
        with starting():
            self.stdout.write("Listening to Discord (Ctrl-C stops).")
            try:
                asyncio.run(self._until_stopped())
            except GatewayRefused as error:
                raise CommandError(f"Discord does not let the bot in: {error}.") from error

    async def _until_stopped(self) -> None:
        await open_pool()
        listening = asyncio.create_task(listen())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, listening.cancel)
        try:
            await asyncio.wait([listening])
            if listening.cancelled():
                self.stdout.write(STOPPING)
            else:
                listening.result()
        finally:
            await close_pool()

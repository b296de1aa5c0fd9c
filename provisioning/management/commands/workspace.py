"""`manage.py workspace start|stop|status|list|render|delete`: a user's workspace from the command line."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

import yaml
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from pydantic import TypeAdapter

from accounts.licences import NotLicensed, active_licence
from accounts.tiers import Bytes
from provisioning import backends, rows
from provisioning.errors import WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.rendering import render_namespace, render_volume, render_workspace
from provisioning.stages import StageReport
from provisioning.workspaces import (
    close_workspaces,
    delete_workspace,
    ensure_workspace,
    status_of,
    stop_workspace,
    workspace_status,
)

Answer = dict[str, Any] | list[dict[str, Any]]


class Command(BaseCommand):
    """Exits with 1 and the reason on standard error when it fails; stages go to standard error as they are entered."""

    help = "Start, stop, show or delete a user's workspace."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command for each action; all but `list` name the user."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name, text in (
            ("start", "start the workspace, or find it running"),
            ("stop", "end the workspace; its data stay"),
            ("status", "show the workspace's state"),
            ("list", "show every workspace"),
            ("render", "print what would be applied to a cluster for the user"),
            ("delete", "end the workspace and forget it"),
        ):
            action = actions.add_parser(name, help=text, description=text)
            action.add_argument("--json", action="store_true", help="print JSON")
            if name == "delete":
                action.add_argument("--with-data", action="store_true", help="delete the user's data too, for ever")
                action.add_argument("--yes", action="store_true", help="don't ask before data are deleted")
            if name == "render":
                _add_parts(action)
            if name != "list":
                action.add_argument("user", metavar="USER", nargs="?" if name == "render" else None)

    def handle(self, *_args: object, **options: Any) -> None:
        """Do the action and print its answer. Raises CommandError."""
        action: Callable[[dict[str, Any]], Coroutine[Any, Any, Answer]] = getattr(self, f"_{options['action']}")
        if options["action"] == "delete":
            self._ask(options)
        try:
            answer = asyncio.run(_closing(action(options)))
        except WorkspaceFailed as error:
            detail = f" ({error.detail})" if error.detail else ""
            raise CommandError(f"{options['user']}: {error}{detail}") from error
        except NotLicensed as error:
            raise CommandError(f"{options['user']}: {error}") from error
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(answer, indent=2, cls=DjangoJSONEncoder))
        elif options["action"] == "render":
            self.stdout.write(yaml.safe_dump_all(answer, sort_keys=False, allow_unicode=True), ending="")
        else:
            for item in answer if isinstance(answer, list) else [answer]:
                self.stdout.write(_line(item))

    async def _start(self, options: dict[str, Any]) -> Answer:
        endpoint = await ensure_workspace(await active_licence(options["user"]), on_stage=self._say)
        if backends.backend().owned and not await rows.another_process_lives():
            self.stderr.write("No gateway is running: a workspace without one ends within a minute.")
        return {**await _status(options["user"]), "url": endpoint.url}

    async def _stop(self, options: dict[str, Any]) -> Answer:
        await stop_workspace(options["user"])
        return await _status(options["user"])

    async def _status(self, options: dict[str, Any]) -> Answer:
        return await _status(options["user"])

    async def _list(self, _options: dict[str, Any]) -> Answer:
        return [_described(row.user_id, **asdict(status_of(row))) for row in await rows.listing()]

    async def _render(self, options: dict[str, Any]) -> Answer:
        if options["namespace"] == bool(options["user"]):
            raise CommandError("Give USER, or --namespace.")
        snapshot, storage = options["from_snapshot"], options["storage"] or ""
        if (snapshot or storage) and not options["volume"]:
            raise CommandError("--from-snapshot and --storage go with --volume.")
        if options["namespace"]:
            return render_namespace()
        licence = await active_licence(options["user"])
        return (
            render_volume(licence, snapshot=snapshot, storage=storage)
            if options["volume"]
            else render_workspace(licence)
        )

    def _ask(self, options: dict[str, Any]) -> None:
        if not options["with_data"] or options["yes"]:
            return
        try:
            answer = input(f"Delete all data of {options['user']} for ever? Type the user id to go on: ")
        except EOFError:
            answer = ""
        if answer != options["user"]:
            raise CommandError("Nothing was deleted. Give --yes to delete data without being asked.")

    async def _delete(self, options: dict[str, Any]) -> Answer:
        user, with_data = options["user"], options["with_data"]
        deleted = await delete_workspace(user, with_data=with_data)
        return _described(user, state="deleted" if deleted else "nothing to delete", with_data=with_data)

    async def _say(self, report: StageReport) -> None:
        self.stderr.write(report.detail)


def _add_parts(action: CommandParser) -> None:
    """What of a workspace is printed."""
    part = action.add_mutually_exclusive_group()
    part.add_argument("--namespace", action="store_true", help="print what stands once for all workspaces")
    part.add_argument("--volume", action="store_true", help="print the user's volume alone, to restore it")
    action.add_argument("--from-snapshot", default="", metavar="NAME", help="with the data of this VolumeSnapshot")
    action.add_argument("--storage", metavar="SIZE", type=size, help="of this size, e.g. 20Gi")


def size(text: str) -> str:
    """A size as licences have it. Raises ValueError, which the parser tells by this name."""
    return TypeAdapter(Bytes).validate_python(text)


async def _closing(action: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        return await action
    finally:
        await close_workspaces()


async def _status(user: str) -> dict[str, Any]:
    return _described(user, **asdict(await workspace_status(user)))


def _described(user: str, **facts: Any) -> dict[str, Any]:
    return {"user_id": user, "name": workspace_name(user), **facts}


def _line(item: dict[str, Any]) -> str:
    parts = [item["name"], item["state"], item["user_id"], item.get("detail") or "", item.get("url") or ""]
    return "  ".join(part for part in parts if part)

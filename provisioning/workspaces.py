"""What the rest of the gateway asks of workspaces."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from accounts.licences import Licence
from provisioning import backends, launching, rows
from provisioning.endpoints import Endpoint, allowed_url
from provisioning.errors import MESSAGES, Cause, cause_of
from provisioning.flights import flights
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.rows import Row
from provisioning.specs import spec_of
from provisioning.stages import SENTENCES, OnStage, known_stage, report_of
from provisioning.tokens import workspace_token

ASLEEP = "Your workspace is asleep. It starts when you need it."


@dataclass(frozen=True)
class WorkspaceStatus:
    """A workspace as its user may see it: `detail` is a sentence; `last_cause` "" = the last start went well."""

    state: str
    stage: str
    detail: str
    since: datetime | None
    last_cause: str


async def ensure_workspace(licence: Licence, *, on_stage: OnStage | None = None, fresh: bool = False) -> Endpoint:
    """Where the user's tools are, after starting the workspace if it does not run; as often as one likes, from anywhere.

    `on_stage` is awaited with each stage of a start under way, and always at last with "ready". A caller that could not
    reach the endpoint asks again with `fresh`: the workspace must then answer, and is replaced if it does not.

    Raises WorkspaceFailed, with a message for the user: also when the database can't be reached, or the gateway lacks a
    setting that workspaces need.
    """
    if licence.mcp_server_url:
        url = allowed_url(licence.mcp_server_url)
    else:
        url = (await launching.running(spec_of(licence), fresh=fresh, on_stage=on_stage)).url
    if on_stage is not None:
        await on_stage(report_of("ready", detail=workspace_news(licence)))
    return Endpoint(url=url, user_id=licence.user_id, token=partial(workspace_token, licence.user_id))


async def hold_workspace(licence: Licence, url: str) -> bool:
    """Say that the workspace at `url`, which was ensured before, is about to be used; False when it does not run there any more.

    To be said before each use of a connection that is kept: a workspace may be idle for less long than that. Costs nothing when
    it was said a moment ago. Raises WorkspaceFailed, as ensure_workspace does.
    """
    if licence.mcp_server_url:
        return allowed_url(licence.mcp_server_url) == url
    instance = await launching.held(spec_of(licence))
    return instance is not None and instance.url == url


def workspace_news(licence: Licence) -> str:
    """What the user should know of the workspace that runs, e.g. that its next start will bring what the licence gives by now.

    "" = nothing. Without waiting. Raises WorkspaceFailed for a user id that no workspace can have.
    """
    return "" if licence.mcp_server_url else backends.backend().news(spec_of(licence))


async def stop_workspace(user_id: str) -> None:
    """End the user's workspace, also one that is just starting; none running is no error. The data stay."""
    row = await rows.find(workspace_name(user_id))
    # Of one whose last start has failed something may run: a pod that the start had only joined, and that serves others.
    if row is None or row.state == State.STOPPED:
        return
    async with launching.ending(row.name):
        pass


async def delete_workspace(user_id: str, *, with_data: bool) -> bool:
    """End the user's workspace and forget it, its data only `with_data`; False when there was nothing to delete."""
    name = workspace_name(user_id)
    async with launching.ending(name) as claim:
        backend = backends.backends()[claim.backend] if claim is not None else backends.backend()
        removed = await backend.remove(name, with_data=with_data)
        if claim is not None:
            await rows.forget(claim)
    return claim is not None or removed


async def close_workspaces() -> None:
    """End the starts under way in the running event loop and let go of its connections; what runs goes on."""
    flights().closing = True
    await flights().cancel(cause=Cause.SHUTTING_DOWN)
    flights().closing = False
    await backends.backend().close()


async def workspace_status(user_id: str) -> WorkspaceStatus:
    """The state of the user's workspace; one that was never started is stopped, since never."""
    row = await rows.find(workspace_name(user_id))
    if row is None:
        return WorkspaceStatus(state=State.STOPPED, stage="", detail=ASLEEP, since=None, last_cause="")
    return status_of(row)


def status_of(row: Row) -> WorkspaceStatus:
    """What a row says; one whose process has ended unnoticed is stopped."""
    backend = backends.backends().get(row.backend)
    state = row.state
    if state == State.READY and (backend is None or not backend.alive(row.instance)):
        state = State.STOPPED
    stage = row.stage if state == row.state else ""
    return WorkspaceStatus(state, stage, _sentence(state, row), row.since, row.last_cause)


def _sentence(state: str, row: Row) -> str:
    if state == State.FAILED:
        return MESSAGES[cause_of(row.last_cause)]
    if state == State.STOPPING:
        return "Your workspace is stopping…"
    if state == State.STOPPED:
        return ASLEEP
    return row.stage_detail or SENTENCES[known_stage(row.stage)]

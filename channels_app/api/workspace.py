"""The user's workspace: how it is, start, stop."""

import asyncio

from asgiref.sync import async_to_sync
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.licences import active_licence
from agents.hints import hint_workspace
from channels_app import warmup
from channels_app.api import shapes
from channels_app.api.base import ApiView, user_of, validated
from channels_app.api.openapi import described
from channels_app.api.serializers import WorkspaceBody, workspace_json
from provisioning.workspaces import stop_workspace, workspace_status

# A start claims its workspace within milliseconds; with a database that is slower the answer still says `stopped`.
BEGINS_WITHIN_S = 1.0


class WorkspaceView(ApiView):
    """The user's workspace."""

    @described("get_workspace", {200: shapes.Workspace})
    def get(self, request: Request) -> Response:
        """200 {state, stage, detail, since, last_cause}."""
        return Response(workspace_json(async_to_sync(workspace_status)(user_of(request))))

    @described("start_or_stop_workspace", {202: shapes.Workspace}, body=WorkspaceBody)
    def post(self, request: Request) -> Response:
        """202 with the status after {"action": "start"|"stop"}; a start goes on by itself, its stages go to open sockets."""
        act = {"start": _start, "stop": stop_workspace}[validated(WorkspaceBody, request.data)["action"]]
        async_to_sync(act)(user_of(request))
        return Response(workspace_json(async_to_sync(workspace_status)(user_of(request))), status=202)


async def _start(user_id: str) -> None:
    """Begin a start, and wait for no more than its first stage, so that the answer shows that it has begun."""
    begun = asyncio.get_running_loop().create_future()

    async def tell(state: str, detail: str) -> None:
        if not begun.done():
            begun.set_result(None)
        await hint_workspace(user_id, state=state, detail=detail)

    start = warmup.begin(await active_licence(user_id), tell=tell)
    await asyncio.wait({start, begun}, timeout=BEGINS_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)

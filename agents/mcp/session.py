"""What a turn has of its user's workspace: call a tool, read a resource. A lost connection is made again, once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mcp.client.client import Client
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import ElicitResult, InputResponses
from pydantic import ValidationError

from accounts.errors import NotIncluded
from accounts.features import Switch, require_feature
from accounts.licences import Licence, NotLicensed, active_licence
from agents.errors import AgentFailed
from agents.insisting import insist
from agents.mcp.connection import Connection
from agents.mcp.errors import CallFailed, Reason
from agents.mcp.limits import MODEL_TEXT_BYTES, READ_S, TOOL_S, WORKING_TOOL_S
from agents.mcp.patience import Patience
from agents.mcp.posts import Posts
from agents.mcp.results import ToolOutcome, outcome_of, resource_bytes, resource_text
from agents.mcp.tools import ToolSet
from provisioning.stages import OnStage

if TYPE_CHECKING:
    from agents.mcp.pool import Pool

T = TypeVar("T")

# Tools behind a feature of the licence. This is where every call of a tool passes, whoever wants it.
_BEHIND: dict[str, Switch] = {"deploy_strategy": "deploy"}
# With these the workspace never began the call, so that sending it again can't repeat an effect.
_NEVER_BEGAN = {Reason.UNREACHABLE, Reason.DENIED}


@dataclass(frozen=True, slots=True)
class Given:
    """What a tool that has asked is given: the answers by its keys, and its own state."""

    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    state: str | None = None

    def responses(self) -> InputResponses | None:
        """The answers as the protocol has them; one that does not fit its form is a refusal to answer."""
        found: InputResponses = {}
        for key, answer in self.answers.items():
            try:
                found[key] = ElicitResult.model_validate(answer)
            except ValidationError:
                found[key] = ElicitResult(action="decline")
        return found or None


class Session:
    """One user's workspace. Every method raises CallFailed, or AgentFailed when the workspace can't be started."""

    def __init__(self, pool: "Pool", licence: Licence, on_stage: OnStage) -> None:
        self._pool = pool
        self._licence = licence
        self._on_stage = on_stage

    async def tools(self) -> ToolSet:
        """The workspace's tools."""
        return await self._on_connection(Connection.tools, repeatable=True)

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        on_progress: ProgressFnT | None = None,
        deadline_s: float = TOOL_S,
        given: Given | None = None,
    ) -> ToolOutcome:
        """Call the tool `name` (its plain name). A tool's own failure is an outcome, not an exception.

        A tool that reports progress to `on_progress` has `deadline_s` seconds after each report, within WORKING_TOOL_S.
        `given` says that its questions can be answered, and holds the answers so far; without it a tool that asks has failed.

        Raises AgentFailed `not_included` for a tool that the licence, as it is now, does not cover, or NotLicensed's code.
        """
        await _require(self._licence.user_id, name)

        patience = Patience(deadline_s, whole_s=WORKING_TOOL_S)
        reported = _reporting(on_progress, patience) if on_progress else None

        async def send(client: Client, posts: Posts | None) -> ToolOutcome:
            if given is None:
                if posts is not None and reported is None:
                    return outcome_of(await posts.call_tool(name, arguments))
                return outcome_of(await client.call_tool(name, arguments, progress_callback=reported))
            return outcome_of(
                await client.session.call_tool(
                    name,
                    arguments,
                    progress_callback=reported,
                    input_responses=given.responses(),
                    request_state=given.state,
                    allow_input_required=True,
                )
            )

        async def request(connection: Connection) -> ToolOutcome:
            return await connection.request(send, patience=patience)

        return await self._on_connection(request, repeatable=(await self.tools()).repeatable(name))

    async def read_resource(self, uri: str, *, limit_bytes: int = MODEL_TEXT_BYTES) -> str:
        """A resource's text, at most `limit_bytes` of it."""

        async def send(client: Client, posts: Posts | None) -> str:
            return resource_text(await (posts or client).read_resource(uri), limit_bytes=limit_bytes)

        async def request(connection: Connection) -> str:
            return await connection.request(send, patience=Patience(READ_S))

        return await self._on_connection(request, repeatable=True)

    async def read_blob(self, uri: str) -> bytes:
        """A resource's bytes."""

        async def send(client: Client, posts: Posts | None) -> bytes:
            return resource_bytes(await (posts or client).read_resource(uri))

        async def request(connection: Connection) -> bytes:
            return await connection.request(send, patience=Patience(READ_S))

        return await self._on_connection(request, repeatable=True)

    async def _on_connection(self, request: Callable[[Connection], Awaitable[T]], *, repeatable: bool) -> T:
        connection = await self._pool.connection(self._licence, on_stage=self._on_stage)
        try:
            return await request(connection)
        except CallFailed as error:
            if error.reason not in _NEVER_BEGAN and not (repeatable and error.reason is Reason.BROKEN):
                raise
        connection = await self._pool.connection(self._licence, on_stage=self._on_stage, instead_of=connection)
        return await request(connection)


def _reporting(on_progress: ProgressFnT, patience: Patience) -> ProgressFnT:
    """`on_progress`, and the call lives on."""

    async def report(progress: float, total: float | None, message: str | None) -> None:
        patience.alive()
        await on_progress(progress, total, message)

    return report


async def _require(user_id: str, tool: str) -> None:
    """Look at the licence again: it may have been changed since the turn began."""
    if tool not in _BEHIND:
        return
    try:
        require_feature(await insist(partial(active_licence, user_id)), _BEHIND[tool])
    except (NotLicensed, NotIncluded) as error:
        raise AgentFailed(error.code, str(error)) from error

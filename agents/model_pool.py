"""Built chat models, kept for each event loop: building one costs seconds of imports and blocks."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import structlog

from agents.catalogue import Model, catalogue, configured_default
from agents.lazy import load
from agents.providers import ApiEndpoint, ChatModel, Provider, switched_on

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable

    from agents.mcp.tools import ToolSet

log = structlog.get_logger(__name__)

# Pairs of a model and a list of tools. Workspaces of one version share a list.
MOST_BOUND = 64

_Key = tuple[str, int, ApiEndpoint]


class ModelPool:
    """The models of one event loop; their HTTP connections belong to it."""

    def __init__(self) -> None:
        self._building: dict[_Key, asyncio.Task[ChatModel]] = {}
        self._bound: dict[tuple[int | str, ...], Runnable[Any, AIMessage]] = {}

    async def get(self, provider: Provider, model: Model, endpoint: ApiEndpoint) -> ChatModel:
        """The model, built off the loop when it is wanted for the first time. Raises what building it raises."""
        key = (model.spec, model.longest_answer, endpoint)
        task = self._building.get(key)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(provider.build, model, endpoint), name=f"build {model.spec}")
            self._building[key] = task
        try:
            # One caller's cancellation must not take the model from the others who wait for it.
            return await asyncio.shield(task)
        finally:
            if task.done() and (task.cancelled() or task.exception() is not None):
                self._building.pop(key, None)

    def with_tools(
        self, built: ChatModel, tools: "ToolSet", *, beside: Sequence[dict[str, Any]] = ()
    ) -> "Runnable[Any, AIMessage]":
        """The model with the tools bound to it, kept: converting forty schemas for a vendor takes milliseconds.

        `beside` are definitions of our own, the same for the same names.
        """
        key = (id(built), tools.digest, *(each["function"]["name"] for each in beside))
        if key not in self._bound:
            if len(self._bound) >= MOST_BOUND:
                self._bound.clear()
            definitions = [*(tool.for_model() for tool in tools.offered()), *beside]
            self._bound[key] = built.chat.bind_tools(definitions) if definitions else built.chat
        return self._bound[key]

    async def close(self) -> None:
        """Close every model's connections."""
        self._bound.clear()
        building, self._building = self._building, {}
        for built in await asyncio.gather(*building.values(), return_exceptions=True):
            if isinstance(built, ChatModel):
                await built.close()


_pools: "WeakKeyDictionary[asyncio.AbstractEventLoop, ModelPool]" = WeakKeyDictionary()


def model_pool() -> ModelPool:
    """The running loop's pool."""
    return _pools.setdefault(asyncio.get_running_loop(), ModelPool())


async def close_pool() -> None:
    """Close the running loop's models, if it has any."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.close()


async def warm_up() -> None:
    """Do what the first turn would wait for: import the libraries, compile the agent, build the models that are on."""
    agent_loop = await load("agents.agent_loop")
    await load("agents.turn_run")
    await asyncio.to_thread(agent_loop.compiled_agent)
    default = configured_default(catalogue())
    listed = [*([default] if default else []), *(model for model in catalogue().models if model.name != "*")]
    on = switched_on()
    for model in listed:
        provider = on.get(model.provider)
        endpoint = provider.endpoint() if provider else None
        if provider is not None and endpoint is not None:
            await model_pool().get(provider, model, endpoint)
    log.info("agent_ready", providers=sorted(on))

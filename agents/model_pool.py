"""Built chat models, kept for each event loop: building one costs seconds of imports and blocks."""

import asyncio
from weakref import WeakKeyDictionary

from agents.providers import ApiEndpoint, ChatModel, Provider

_Key = tuple[str, str, ApiEndpoint]


class ModelPool:
    """The models of one event loop; their HTTP connections belong to it."""

    def __init__(self) -> None:
        self._building: dict[_Key, asyncio.Task[ChatModel]] = {}

    async def get(self, provider: Provider, model: str, endpoint: ApiEndpoint) -> ChatModel:
        """The model, built off the loop when it is wanted for the first time. Raises what building it raises."""
        key = (provider.name, model, endpoint)
        task = self._building.get(key)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(provider.build, model, endpoint), name=f"build {model}")
            self._building[key] = task
        try:
            # One caller's cancellation must not take the model from the others who wait for it.
            return await asyncio.shield(task)
        finally:
            if task.done() and (task.cancelled() or task.exception() is not None):
                self._building.pop(key, None)

    async def close(self) -> None:
        """Close every model's connections."""
        building, self._building = self._building, {}
        for built in await asyncio.gather(*building.values(), return_exceptions=True):
            if isinstance(built, ChatModel):
                await built.close()


_pools: "WeakKeyDictionary[asyncio.AbstractEventLoop, ModelPool]" = WeakKeyDictionary()


def model_pool() -> ModelPool:
    """The running loop's pool."""
    return _pools.setdefault(asyncio.get_running_loop(), ModelPool())


async def close_models() -> None:
    """Close the running loop's models, if it has any."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.close()

"""The demo model: answers by simple rules, with the workspace's real tools, while no provider is configured."""

from agents.catalogue import Model
from agents.providers import ApiEndpoint, ChatModel


class Demo:
    """A stand-in, so that a newcomer sees streaming and tools without a key."""

    name = "demo"
    label = "The demo model"
    stand_in = True

    def endpoint(self) -> ApiEndpoint | None:
        return ApiEndpoint(base_url="", key="")

    def build(self, model: Model, endpoint: ApiEndpoint) -> ChatModel:  # noqa: ARG002 - it reaches nothing
        from agents.providers._demo.model import DemoChatModel  # noqa: PLC0415 - LangChain, off the event loop

        return ChatModel(chat=DemoChatModel(model=model.name), close=_nothing_to_close)


async def _nothing_to_close() -> None:
    return None


PROVIDER = Demo()

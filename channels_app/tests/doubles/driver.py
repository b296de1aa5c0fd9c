"""What the contract test of the channels asks of each platform."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

from channels_app.channels import Channel


@dataclass(frozen=True)
class Post:
    """A request as the platform makes it."""

    body: bytes
    headers: dict[str, str]

    def with_headers(self, **headers: str) -> "Post":
        return replace(self, headers=self.headers | headers)


class Driver(ABC):
    """One platform: its requests, its server, and what its users see."""

    channel: Channel
    # A linked account, another linked one, and one that is nobody's.
    account: str
    other: str
    stranger: str
    # The units that a message may have; None = any number.
    limit: int | None = None
    # Settings of which one alone is half a configuration.
    half: dict[str, str]
    signs_time = True
    streams = True

    @abstractmethod
    def on(self, settings: Any) -> AbstractAsyncContextManager[None]:
        """The channel is on, its platform a server on loopback."""

    @abstractmethod
    def message(self, text: str, *, sender: str = "", number: int = 1) -> Post:
        """Somebody writes in a private chat; the same number is the same message."""

    @abstractmethod
    def press(self, token: str, *, sender: str = "") -> Post:
        """Somebody presses a button there."""

    @abstractmethod
    def signed(self, body: bytes, *, age_s: float = 0) -> Post:
        """The platform's own request with this body, signed so long ago."""

    @abstractmethod
    def forged(self, post: Post) -> Post:
        """The same by somebody else."""

    @abstractmethod
    def target(self, *, sender: str = "") -> dict[str, Any]:
        """Where a private message is answered."""

    @abstractmethod
    def shown(self, account: str = "") -> list[str]:
        """The texts of the account's private chat, in order, as they are now."""

    @abstractmethod
    def buttons(self, account: str = "") -> list[tuple[str, str]]:
        """The words and tokens of the buttons there."""

    @abstractmethod
    def notices(self) -> list[str]:
        """What pressers were told."""

    @abstractmethod
    async def until_noticed(self, number: int) -> None:
        """Wait for so many."""

    @abstractmethod
    def flood(self, seconds: int) -> None:
        """The next call is told to wait."""

    @abstractmethod
    def close_chat(self) -> None:
        """The next call is told that the account takes nothing more."""

    @abstractmethod
    def refuse(self) -> None:
        """The next call is told that the message is no good."""

    @abstractmethod
    def cut(self, *, done: bool = False) -> None:
        """The connection of the next call breaks before it is answered; `done`: the message is shown all the same."""

    @property
    @abstractmethod
    def calls(self) -> int:
        """How many calls there were."""

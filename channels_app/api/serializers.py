"""The bodies that the API reads, and the objects that it answers with."""

from dataclasses import asdict
from typing import Any

from rest_framework import serializers

from accounts.link_requests import LinkRequest
from agents.catalogue import Model
from agents.conversations import MAX_TITLE, ConversationItem
from agents.turns import TurnView
from provisioning.workspaces import WorkspaceStatus

JSON = dict[str, Any]

# What a workspace's database can count to.
MAX_CURSOR = 2**63 - 1


class Text(serializers.CharField):
    """A JSON string: the framework's own also takes numbers."""

    def to_internal_value(self, data: Any) -> str:
        """The string. Raises ValidationError for any other value."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TitleBody(serializers.Serializer[Any]):
    """A conversation's title."""

    title = Text(max_length=MAX_TITLE, allow_blank=True)


class NewConversationBody(serializers.Serializer[Any]):
    """A new conversation; its title may come later."""

    title = Text(max_length=MAX_TITLE, allow_blank=True, default="")


class WorkspaceBody(serializers.Serializer[Any]):
    """What to do with the workspace."""

    action = serializers.ChoiceField(choices=["start", "stop"])


class LinkCodeBody(serializers.Serializer[Any]):
    """Which channel a code is for."""

    channel = serializers.CharField(max_length=64)


class PageQuery(serializers.Serializer[Any]):
    """Which page of a history."""

    before = serializers.IntegerField(min_value=0, max_value=MAX_CURSOR, default=None)
    limit = serializers.IntegerField(min_value=1, max_value=100, default=50)


def conversation_json(item: ConversationItem) -> JSON:
    """A conversation; `model` is null before the first answer."""
    return asdict(item) | {"model": item.model or None}


def turn_json(view: TurnView) -> JSON:
    """A turn; `error` is null unless it failed."""
    error = {"code": view.error_code, "message": view.error_message} if view.error_code else None
    fields = asdict(view)
    for own in ("error_code", "error_message", "last_seq", "held"):
        del fields[own]
    return fields | {"model": view.model or None, "error": error}


def request_json(request: LinkRequest) -> JSON:
    """A code, or the request that became of it; `account` and `name` are null unless it is pending."""
    return asdict(request) | {"account": request.account or None, "name": request.name or None}


def model_json(model: Model) -> JSON:
    """A model; prices in USD per million tokens, null = unknown."""
    prices = {"input": model.input, "cached": model.cached, "output": model.output}
    return {"id": model.spec, "size": model.size, "context_tokens": model.context, "usd_per_million_tokens": prices}


def workspace_json(status: WorkspaceStatus) -> JSON:
    """A workspace; `last_cause` is null when its last start went well."""
    return asdict(status) | {"last_cause": status.last_cause or None}

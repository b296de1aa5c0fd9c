"""Parse what a platform posts into typed models."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from channels_app.errors import BadUpdate

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A part of an update: no value is taken for another type's, unknown fields are passed over."""

    model_config = ConfigDict(strict=True, frozen=True)


def bad_update(error: ValidationError, *, of: str) -> BadUpdate:
    """What is wrong with an update, by the name of its first bad field; nothing of its values."""
    field = ".".join(str(step) for step in error.errors(include_input=False, include_url=False)[0]["loc"])
    return BadUpdate(f"This is no {of}: {field or 'it is no object'}.")


def key_of(account: str, name: str) -> str:
    """What no other account's name makes; no account holds a slash. One without a colon keeps the keys that are stored of it."""
    return f"/{account}/{name}" if ":" in account else f"{account}:{name}"


def parsed(model: type[Model], value: Any, *, of: str) -> Model:
    """An update as its model. Raises BadUpdate."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise bad_update(error, of=of) from error

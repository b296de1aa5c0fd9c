"""Schedules: what the agent does by itself at set times, and the prices that it tells of."""

from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from pydantic import TypeAdapter, ValidationError
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from agents.schedules.adding import Asked, create_alert, create_task, tell_elsewhere
from agents.schedules.rows import AlertSpec, Schedule, delete_schedule, schedules_of
from agents.schedules.rules import DAYS, Rule
from channels_app.api import shapes
from channels_app.api.base import ApiView, user_of, validated
from channels_app.api.openapi import described
from channels_app.api.paging import ListQuery, cursor_of, no_cursor, position_of
from channels_app.api.shapes import NewAlert, NewTask, ToldIn

# In the description the two forms stand side by side.
BODY = {"application/json": {"oneOf": [NewTask.model_json_schema(), NewAlert.model_json_schema()]}}
_BODY: TypeAdapter[NewTask | NewAlert] = TypeAdapter(shapes.NewSchedule)


class SchedulesView(ApiView):
    """The user's tasks and alerts."""

    @described("list_schedules", {200: shapes.Schedules}, query=ListQuery)
    def get(self, request: Request) -> Response:
        """200 {schedules, next}, by number."""
        query = validated(ListQuery, request.query_params)
        after = _place(query["cursor"])
        left = [each for each in async_to_sync(schedules_of)(user_of(request)) if each.number > after]
        page = left[: query["limit"]]
        more = cursor_of(str(page[-1].number)) if len(left) > len(page) else None
        return Response({"schedules": [schedule_json(each) for each in page], "next": more})

    @described("add_schedule", {201: shapes.Schedule}, body=BODY, refusals=(404, 409))
    def post(self, request: Request) -> Response:
        """201 with the new task or alert; 404 for a channel in which the user was never heard, 409 for one who has 50."""
        return Response(schedule_json(async_to_sync(_create)(user_of(request), _body(request.data))), status=201)


class ScheduleView(ApiView):
    """One of them."""

    @described("redirect_schedule", {200: shapes.Schedule}, body=ToldIn)
    def patch(self, request: Request, schedule: str) -> Response:
        """200 with it: it is told in another channel from now on; 404 for a channel in which the user was never heard."""
        asked = Asked(user_of(request), _place_of(request.data).channel)
        return Response(schedule_json(async_to_sync(tell_elsewhere)(asked, schedule)))

    @described("delete_schedule", {204: None})
    def delete(self, request: Request, schedule: str) -> Response:
        """204; it is not done or told any more."""
        async_to_sync(delete_schedule)(schedule, user_id=user_of(request))
        return Response(status=204)


async def _create(user_id: str, body: NewTask | NewAlert) -> Schedule:
    asked = Asked(user_id, body.channel)
    if isinstance(body, NewAlert):
        if not (level := Decimal(body.level)):
            raise exceptions.ValidationError({"level": ["A price is above 0."]})
        return await create_alert(asked, AlertSpec(body.symbol, body.direction, level))
    hour, _, minute = body.at.partition(":")
    try:
        rule = Rule(body.every, int(hour), int(minute), DAYS.index(body.day) if body.day else None)
    except ValueError as error:
        raise exceptions.ValidationError({"day": ["A weekly task has a day, and no other has."]}) from error
    return await create_task(asked, rule, body.text, time_zone=body.time_zone)


async def schedules_json(user_id: str) -> list[dict[str, Any]]:
    """All that the user has, by number."""
    return [schedule_json(each) for each in await schedules_of(user_id)]


def schedule_json(item: Schedule) -> dict[str, Any]:
    """One of them as the API gives it."""
    shown = {
        "id": item.id,
        "number": item.number,
        "kind": item.kind,
        "channel": item.channel,
        "state": item.state,
        "reason": item.reason,
        "due_at": item.due_at,
        "created_at": item.created_at,
        "run_at": item.run_at,
        "task": None,
        "alert": None,
    }
    if item.kind == "task":
        task = item.task
        day = None if task.rule.day is None else DAYS[task.rule.day]
        at = f"{task.rule.hour:02}:{task.rule.minute:02}"
        shown["task"] = {"every": task.rule.every, "day": day, "at": at, "time_zone": str(task.zone), "text": task.text}
    else:
        alert = item.alert
        shown["alert"] = {
            "symbol": alert.symbol,
            "direction": alert.direction,
            "level": f"{alert.level:f}",
            "last_price": None if item.last_price is None else f"{item.last_price.normalize():f}",
            "fired_at": item.fired_at,
            "delivered_at": item.delivered_at,
        }
    return shown


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    (number,) = position_of(cursor, parts=1)
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise no_cursor()
    return int(number)


def _body(data: Any) -> NewTask | NewAlert:
    """The schedule of a request. Raises rest_framework's ValidationError, with the first complaint."""
    try:
        return _BODY.validate_python(data)
    except ValidationError as error:
        raise _complaint(error, skip=1) from error


def _place_of(data: Any) -> ToldIn:
    """Likewise of the channel."""
    try:
        return ToldIn.model_validate(data)
    except ValidationError as error:
        raise _complaint(error) from error


def _complaint(error: ValidationError, *, skip: int = 0) -> exceptions.ValidationError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"][skip:])
    return exceptions.ValidationError({where or "non_field_errors": [first["msg"]]})

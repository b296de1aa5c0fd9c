"""`/model`: which models the user may choose, which one answers in this conversation, and choosing another."""

from typing import TYPE_CHECKING

from accounts.licences import active_licence_on
from agents.catalogue import Model
from agents.circuits import is_open
from agents.offers import offer
from agents.routing import Offer

if TYPE_CHECKING:
    from agents.commands import Context

RESET = frozenset({"default", "auto", "reset"})


async def run_model(context: "Context") -> str:
    """List without words, reset with `default`, choose with a name or a part of one. Effects go through `context.conn`."""
    allowed = offer(await active_licence_on(context.conn, context.user_id))
    wanted = context.words.strip().strip("`*")
    if not wanted:
        return await _list(context, allowed)
    if wanted.lower() in RESET:
        await _keep(context, "")
        return f"Your choice is undone. {_rule(allowed)}"
    found = _meant(wanted, allowed)
    if len(found) == 1:
        await _keep(context, found[0].spec)
        return f"**{found[0].spec}** answers in this conversation from now on. `/model default` undoes it."
    if found:
        return f"Which one: {', '.join(f'`{model.spec}`' for model in found)}?"
    return f"{_refusal(wanted, allowed)}\n\n{await _list(context, allowed)}"


def _meant(wanted: str, allowed: Offer) -> list[Model]:
    """The allowed models that a person may mean: the one of that name, else all whose name holds it."""
    exact = allowed.find(wanted)
    if exact is not None and allowed.allows(exact):
        return [exact]
    return [model for model in allowed.models() if exact is None and wanted.lower() in model.spec.lower()]


def _refusal(wanted: str, allowed: Offer) -> str:
    known = allowed.find(wanted)
    included = known is None or known.provider not in allowed.providers
    why = "is not available here" if included else "is not included in your licence"
    return f"The model {wanted[:100]} {why}."


async def _list(context: "Context", allowed: Offer) -> str:
    cursor = await context.conn.execute(
        "SELECT model, model_settled FROM conversations WHERE id = %s", (context.conversation,)
    )
    used, settled = await cursor.fetchone() or ("", False)
    cursor = await context.conn.execute("SELECT target FROM model_circuits WHERE open_until > clock_timestamp()")
    shut = frozenset(row[0] for row in await cursor.fetchall())
    lines = [_line(model, used="" if settled else used, shut=shut) for model in allowed.models()]
    if not lines:
        return "No model is available for your licence at the moment."
    now = f"You chose **{used}** for this conversation." if settled and used else _rule(allowed)
    return "\n".join([now, "", *lines, "", "`/model NAME` chooses one, `/model default` leaves it to me."])


def _rule(allowed: Offer) -> str:
    """Which model answers where the user has chosen none."""
    default = allowed.default
    return f"Here **{default.spec}** answers, whatever you ask." if default else "I choose by what you ask."


def _line(model: Model, *, used: str, shut: frozenset[str]) -> str:
    price = "" if model.input is None or model.output is None else f", ${model.input:g} in and ${model.output:g} out"
    remarks = (" – answered last" if model.spec == used else "") + (
        " – has a problem at the moment" if is_open(model, shut) else ""
    )
    return f"- `{model.spec}` ({model.size}{price}){remarks}"


async def _keep(context: "Context", model: str) -> None:
    await context.conn.execute(
        "UPDATE conversations SET model = %s, model_settled = %s WHERE id = %s",
        (model, bool(model), context.conversation),
    )

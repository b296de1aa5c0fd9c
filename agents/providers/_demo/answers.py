"""The demo model's sentences about what a tool answered."""

from collections.abc import Callable, Sequence

from agents.providers._demo.talk import JSON, ToolReply

SIGNATURE = "\n\n*I'm the demo model: simple rules, real tools.*"


def phrase(replies: Sequence[ToolReply]) -> str:
    """The answer from the tools' replies."""
    return "\n\n".join(_one(reply) for reply in replies) + SIGNATURE


def _one(reply: ToolReply) -> str:
    if reply.values is None:
        return f"The workspace's tool {reply.tool} answered: {reply.text[:500]}"
    sentence = _SENTENCES.get(reply.tool)
    return sentence(reply.values) if sentence else reply.text[:500]


def _indicators(values: JSON) -> str:
    span = f"{values['bars']} daily bars from {values['from']} to {values['to']}"
    lines = [_figure(result) for result in values["results"]]
    head = f"{values['name']} ({values['symbol']}), computed from {span}:"
    return head + "\n\n" + "\n".join(f"- {line}" for line in lines)


def _figure(result: JSON) -> str:
    latest = dict(result["latest"])
    day = latest.pop("date")
    periods = ", ".join(str(value) for value in result["params"].values())
    if len(latest) == 1:
        (value,) = latest.values()
        return f"**{result['name']}({periods})** was **{value:,.2f}** on {day}"
    parts = ", ".join(f"{name} {value:,.2f}" for name, value in latest.items())
    return f"**{result['name']}({periods})** on {day}: {parts}"


def _instruments(values: JSON) -> str:
    lines = [
        f"- **{each['symbol']}** – {each['name']}: {each['bars']:,} daily bars, {each['first']} to {each['last']}"
        for each in values["instruments"]
    ]
    return "Your workspace has these instruments:\n\n" + "\n".join(lines)


def _bars(values: JSON) -> str:
    names = values["columns"]
    rows = [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in values["rows"][-5:]]
    if not rows:
        return f"There are no bars of {values['symbol']} in that range."
    last = rows[-1]
    table = "\n".join(
        f"| {row['date']} | {row['open']:,.2f} | {row['high']:,.2f} | {row['low']:,.2f} | {row['close']:,.2f} |"
        for row in rows
    )
    return (
        f"{values['name']} ({values['symbol']}) closed at **{last['close']:,.2f}** on {last['date']}.\n\n"
        f"| date | open | high | low | close |\n|---|---|---|---|---|\n{table}"
    )


def _remembered(values: JSON) -> str:
    return f"I'll remember: {values['content']}"


def _memories(values: JSON) -> str:
    found = values["memories"]
    if not found:
        return "I remember nothing about that."
    return "I remember:\n\n" + "\n".join(f"- {each['content']}" for each in found)


def _preferences(values: JSON) -> str:
    given = {name: value for name, value in values.items() if value is not None}
    if not given:
        return "You have set no preferences yet."
    return "Your preferences:\n\n" + "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in given.items())


_SENTENCES: dict[str, Callable[[JSON], str]] = {
    "compute_indicators": _indicators,
    "list_instruments": _instruments,
    "get_bars": _bars,
    "remember": _remembered,
    "search_memory": _memories,
    "list_memories": _memories,
    "get_preferences": _preferences,
}

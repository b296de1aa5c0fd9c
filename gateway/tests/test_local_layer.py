import asyncio

import pytest
from channels.exceptions import ChannelFull

from gateway.local_layer import LocalChannelLayer


async def test_a_group_hears_what_is_sent_to_it_and_nobody_else_does() -> None:
    layer = LocalChannelLayer()
    first, second, stranger = [await layer.new_channel() for _ in range(3)]
    await layer.group_add("user.a", first)
    await layer.group_add("user.a", second)
    await layer.group_add("user.b", stranger)

    await layer.group_send("user.a", {"type": "hint", "seq": 1})
    await layer.group_send("user.b", {"type": "hint", "seq": 2})

    assert await layer.receive(first) == await layer.receive(second) == {"type": "hint", "seq": 1}
    assert await layer.receive(stranger) == {"type": "hint", "seq": 2}


async def test_who_listens_may_change_a_message_without_the_others_seeing_it() -> None:
    layer = LocalChannelLayer()
    channels = [await layer.new_channel() for _ in range(2)]
    for channel in channels:
        await layer.group_add("g", channel)
    await layer.group_send("g", {"type": "hint"})

    (await layer.receive(channels[0]))["type"] = "other"

    assert await layer.receive(channels[1]) == {"type": "hint"}


async def test_a_full_channel_loses_what_comes_and_hinders_no_other() -> None:
    layer = LocalChannelLayer(capacity=1)
    slow, quick = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("g", slow)
    await layer.group_add("g", quick)
    await layer.group_send("g", {"seq": 1})
    assert await layer.receive(quick) == {"seq": 1}

    await layer.group_send("g", {"seq": 2})

    assert await layer.receive(quick) == {"seq": 2}
    assert await layer.receive(slow) == {"seq": 1}
    await layer.send(slow, {"seq": 3})
    with pytest.raises(ChannelFull):
        await layer.send(slow, {"seq": 4})


async def test_who_leaves_leaves_nothing_behind() -> None:
    layer = LocalChannelLayer()
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    listening = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)

    await layer.group_discard("g", channel)
    listening.cancel()
    await asyncio.wait({listening})
    await layer.group_send("g", {"seq": 1})

    assert not layer._queues
    assert not layer._groups

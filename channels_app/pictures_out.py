"""Pictures of answers for chats: an answer names them as the page finds them, and they are read when they are sent."""

import re

import psycopg

from accounts.licences import NotLicensed, active_licence
from agents.charts import read_chart
from agents.errors import AgentFailed, Refused
from agents.pictures import read_picture
from channels_app.errors import DeliveryError

# The workspace that keeps a chart may have to be started, and may fail to: others in the chat don't wait for ever.
MOST_ATTEMPTS = 3
_KEPT = re.compile(r"/api/v1/pictures/([0-9a-f-]{36})")
_CHART = re.compile(r"/api/v1/backtests/([^/]+)/chart\.png")


class PictureGone(DeliveryError):
    """There is no such picture any more, or it can't be read."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"picture_gone ({cause})", permanent=True)


async def read(url: str, *, user_id: str, attempt: int) -> bytes:
    """The picture at an address of our own. Raises PictureGone, and DeliveryError for one to be read later."""
    try:
        if found := _KEPT.fullmatch(url):
            return (await read_picture(found[1], user_id=user_id))[0]
        if found := _CHART.fullmatch(url):
            return await read_chart(await active_licence(user_id), found[1])
    except (Refused, NotLicensed) as error:
        raise PictureGone(error.code) from error
    except (AgentFailed, psycopg.OperationalError) as error:
        if attempt >= MOST_ATTEMPTS:
            raise PictureGone("not_read") from error
        raise DeliveryError("picture_not_read") from error
    raise PictureGone("address")

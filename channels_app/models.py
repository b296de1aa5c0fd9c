"""Rows of what leaves for the chat apps. Only tables: the use cases write them with SQL (see deliveries/rows.py, inbound.py)."""

from django.db import models
from django.db.models.functions import Now


class ChatLane(models.Model):
    """A chat, in which messages leave one after another; `not_before` is the pause that all of its senders share."""

    key = models.TextField(primary_key=True, help_text="channel:chat")
    not_before = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "chat_lanes"

    def __str__(self) -> str:
        return self.key


class DeliveryState(models.TextChoices):
    """Where a delivery stands; the last three are final.

    `ambiguous`: the platform may or may not have shown the message, so it is not sent again. `failed`: it was not shown. One
    that may have been shown is `pending` again where the platform takes the same message once, as long as it does.
    """

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"


class Delivery(models.Model):
    """One message of a channel: the intent to send it, and what became of that.

    The database's own sequence is the order within a lane, whatever the clocks of the processes say. `holder` and `fence`
    say which worker's claim may write (gateway.leases). `body` is erased once the delivery is settled; `digest` stays.
    """

    id = models.BigAutoField(primary_key=True)
    origin = models.TextField(help_text="what the message tells of; told once")
    part = models.PositiveIntegerField(help_text="position among the messages of one text, from 0")
    turn = models.UUIDField(null=True, blank=True, db_column="turn_id")
    user_id = models.TextField(blank=True, help_text="blank for an account that is linked to nobody")
    channel = models.TextField()
    # No foreign key, since lanes that rest are removed.
    lane = models.TextField(db_column="lane_id", help_text="the chat, as channel:chat")
    account = models.TextField(blank=True, db_default="", help_text="whom it is for, as in a channel link")
    target = models.JSONField(help_text="the channel's own address of the chat")
    kind = models.TextField()
    edits = models.TextField(
        blank=True, db_default="", help_text="the origin of an earlier one, whose message it replaces"
    )
    urgent = models.BooleanField(default=False, db_default=False, help_text="it comes before what waits in its chat")
    shown_chars = models.PositiveIntegerField(default=0, db_default=0, help_text="of an answer that grows")
    body = models.JSONField(null=True, blank=True)
    digest = models.TextField(help_text="SHA-256 of the body, for audit")
    state = models.TextField(choices=DeliveryState.choices, db_default=DeliveryState.PENDING)
    attempts = models.PositiveIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    run_after = models.DateTimeField(db_default=Now())
    holder = models.UUIDField(null=True, blank=True)
    fence = models.BigIntegerField(db_default=0)
    started_at = models.DateTimeField(null=True, blank=True, help_text="when the last attempt began to send")
    settled_at = models.DateTimeField(null=True, blank=True)
    receipt = models.TextField(blank=True, db_default="", help_text="the platform's own id of the message")
    error = models.TextField(blank=True, db_default="", help_text="why the last attempt was not enough")
    repeat_until = models.DateTimeField(
        null=True, blank=True, help_text="it may have been shown: until then its platform takes it once"
    )

    class Meta:
        db_table = "deliveries"
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["origin", "part"], name="delivery_once")]
        indexes = [
            models.Index(
                fields=["lane", "id"], condition=models.Q(state__in=["pending", "sending"]), name="delivery_open"
            ),
            models.Index(fields=["id"], condition=models.Q(state="pending"), name="delivery_pending"),
            models.Index(fields=["turn"], name="delivery_of_turn"),
            models.Index(fields=["state", "-id"], name="delivery_by_state"),
            models.Index(fields=["user_id", "-id"], name="delivery_of_user"),
            models.Index(fields=["lane", "-id"], name="delivery_of_lane"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.lane} ({self.state})"


class ChatButton(models.Model):
    """A button under a message in a chat: what it decides, for whom. Its token is all that the platform is told."""

    token = models.TextField(primary_key=True)
    user_id = models.TextField()
    channel = models.TextField()
    account = models.TextField(help_text="who may press it, as in a channel link")
    kind = models.TextField(help_text="approval or question")
    subject = models.UUIDField(help_text="the approval's or question's id")
    choice = models.JSONField(help_text="approve, reject, or the values of an answer; null declines")
    digest = models.TextField(blank=True, db_default="", help_text="of the approval that is shown above it")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "chat_buttons"
        indexes = [models.Index(fields=["created_at"], name="chat_button_age")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class UnlinkedSender(models.Model):
    """An account that wrote without being linked to a user; it is told how to link once an hour."""

    channel = models.TextField()
    sender = models.TextField()
    hinted_at = models.DateTimeField()

    class Meta:
        db_table = "unlinked_senders"
        constraints = [models.UniqueConstraint(fields=["channel", "sender"], name="unlinked_sender_once")]

    def __str__(self) -> str:
        return f"{self.channel}:{self.sender}"


class ToldLimit(models.Model):
    """What a chat was told it can't do; until then it is not told again of each message that meets the same."""

    chat = models.TextField(help_text="channel:chat")
    code = models.TextField()
    until = models.DateTimeField()

    class Meta:
        db_table = "told_limits"
        constraints = [models.UniqueConstraint(fields=["chat", "code"], name="told_limit_once")]

    def __str__(self) -> str:
        return f"{self.chat} {self.code}"


class ChatThread(models.Model):
    """A thread of a chat platform, and the conversation that a user has in it."""

    channel = models.TextField()
    thread = models.TextField(help_text="the platform's own key of the thread")
    user_id = models.TextField()
    conversation = models.UUIDField(db_column="conversation_id")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "chat_threads"
        constraints = [models.UniqueConstraint(fields=["channel", "thread", "user_id"], name="chat_thread_once")]

    def __str__(self) -> str:
        return f"{self.channel}:{self.thread}"


class DraftWish(models.Model):
    """An account that wants to see answers as the platform's drafts."""

    channel = models.TextField()
    account = models.TextField(help_text="as in a channel link")

    class Meta:
        db_table = "draft_wishes"
        constraints = [models.UniqueConstraint(fields=["channel", "account"], name="draft_wish_once")]

    def __str__(self) -> str:
        return f"{self.channel}:{self.account}"


class DiscordSession(models.Model):
    """The session that the bot has at Discord's Gateway; at most one row."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    session = models.JSONField(help_text="as channels._discord.gateway.Session")
    saved_at = models.DateTimeField()

    class Meta:
        db_table = "discord_sessions"

    def __str__(self) -> str:
        return f"{self.saved_at:%Y-%m-%d %H:%M}"


class ChatInbox(models.Model):
    """A message with files that are still to be fetched from its platform, or that follows one; taken, it stays without words."""

    id = models.BigAutoField(primary_key=True)
    channel = models.TextField()
    external_id = models.TextField()
    user_id = models.TextField()
    album = models.TextField(
        blank=True, db_default="", help_text="what the message is a piece of, in the platform's words"
    )
    loose = models.BooleanField(db_default=False, help_text="a piece that by itself was not said to us")
    message = models.JSONField(null=True, help_text="the message as channels.Inbound; none once it is taken")
    taken = models.JSONField(null=True, help_text="what became of its files so far, by their places")
    attempts = models.PositiveIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    run_after = models.DateTimeField(db_default=Now())
    holder = models.UUIDField(null=True)

    class Meta:
        db_table = "chat_inbox"
        constraints = [models.UniqueConstraint(fields=["channel", "external_id"], name="chat_inbox_once")]
        indexes = [
            models.Index(
                fields=["channel", "user_id", "id"], condition=models.Q(message__isnull=False), name="chat_inbox_waits"
            ),
            models.Index(fields=["channel", "album"], condition=~models.Q(album=""), name="chat_inbox_album"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}:{self.external_id}"

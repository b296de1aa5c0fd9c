"""Licences, who is who on other platforms, who changed what; tables and constraints only."""

from datetime import timedelta

from django.db import models
from django.db.models.functions import Collate, Lower, Now
from django.db.models.lookups import GreaterThan, LessThanOrEqual

# Django finds an app's tables in this module.
from accounts.usage_models import AcceptedMessage, Budget, BudgetReservation, Usage, UsageDay
from gateway.ids import new_uuid

__all__ = [
    "AcceptedMessage",
    "Budget",
    "BudgetReservation",
    "ChannelLink",
    "Usage",
    "UsageDay",
    "UserLicence",
    "WsTicket",
]

TIERS = (("free", "Free"), ("pro", "Pro"), ("enterprise", "Enterprise"))


def tier_choices() -> list[tuple[str, str]]:
    """The tiers of accounts.tiers, for forms; a callable, so that a new tier makes no migration."""
    return list(TIERS)


class Expiry(models.Func):
    """When a licence runs out, with infinity for never: one condition, and one index, for each question about it."""

    template = "COALESCE(%(expressions)s, 'infinity'::timestamptz)"
    output_field = models.DateTimeField()


EXPIRY = Expiry("expires_at")


class LicenceQuerySet(models.QuerySet["UserLicence"]):
    """Licences by their expiry; the clock is the database's."""

    def active(self) -> "LicenceQuerySet":
        """Those in force."""
        return self.filter(GreaterThan(EXPIRY, Now()))

    def expired(self) -> "LicenceQuerySet":
        """Those that have run out."""
        return self.filter(LessThanOrEqual(EXPIRY, Now()))

    def expiring_within(self, period: timedelta) -> "LicenceQuerySet":
        """Those in force that will have run out after `period`."""
        return self.active().filter(LessThanOrEqual(EXPIRY, Now() + period))


class UserLicence(models.Model):
    """What a user may do. `features` and `resource_limits` hold only what differs from the tier (accounts.tiers)."""

    user_id = models.TextField(primary_key=True)
    email = models.TextField(blank=True, default="")
    license_type = models.TextField("tier", choices=tier_choices)
    features = models.JSONField(blank=True, default=dict)
    resource_limits = models.JSONField(blank=True, default=dict)
    mcp_server_url = models.TextField(blank=True, default="", help_text="blank = a workspace is provisioned")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="empty = never")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = LicenceQuerySet.as_manager()

    class Meta:
        db_table = "user_licenses"
        verbose_name = "licence"
        indexes = [
            models.Index(Expiry("expires_at"), "user_id", name="licence_by_expiry"),
            models.Index("license_type", Expiry("expires_at"), "user_id", name="licence_of_tier_by_expiry"),
            models.Index(fields=["license_type", "user_id"], name="licence_of_tier"),
            # Beginnings are found, in their order, where letters are compared byte by byte.
            models.Index(Collate("user_id", "C"), name="licence_id_prefix"),
            models.Index(Collate(Lower("email"), "C"), name="licence_email_prefix"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} ({self.license_type})"


class Enrolment(models.Model):
    """The user has, or once had, a licence: nobody whose licence staff took away gets another by AUTO_ENROL_TIER.

    A trigger writes the row, whoever makes the licence (migration 0005).
    """

    user_id = models.TextField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        db_table = "enrolments"

    def __str__(self) -> str:
        return self.user_id


class ChannelLink(models.Model):
    """An account of another platform that speaks for a user; `channel_user_id` of Slack is `team:user`."""

    id = models.UUIDField(primary_key=True, default=new_uuid)
    user = models.ForeignKey(UserLicence, on_delete=models.CASCADE, db_column="user_id", related_name="links")
    channel_type = models.TextField("channel", help_text="telegram, slack or discord")
    channel_user_id = models.TextField("account", help_text="the account's id there; for Slack team:user")
    name = models.TextField(blank=True, default="", db_default="", help_text="how the platform shows the account")
    language = models.TextField(blank=True, default="", db_default="", help_text="as the platform tells it")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        db_table = "user_channel_links"
        constraints = [models.UniqueConstraint(fields=["channel_type", "channel_user_id"], name="channel_account_once")]
        indexes = [models.Index(fields=["channel_user_id"], name="link_of_account")]

    def __str__(self) -> str:
        return f"{self.channel_type}:{self.channel_user_id}"


class UserLanguage(models.Model):
    """The language that a user has chosen on the page; chat apps speak it, too."""

    user_id = models.TextField(primary_key=True)
    language = models.TextField()

    class Meta:
        db_table = "user_languages"

    def __str__(self) -> str:
        return f"{self.user_id} ({self.language})"


class BrowserSession(models.Model):
    """A sign-in in a browser, as long as it lasts; its row is removed at sign-out, upon which its sockets are closed.

    The id is no secret: the cookie holds Django's own session key.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid)
    user_id = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "browser_sessions"

    def __str__(self) -> str:
        return self.user_id


class LinkCode(models.Model):
    """A code with which a chat account may ask to speak for a user, and what became of it; see accounts.link_codes.

    `open` until a chat has used it, then `pending` until its user confirms, or `refused` for an account that is another
    user's. Codes are kept as keyed digests only. A row ends with its request, at the latest at `expires_at`.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid)
    user = models.ForeignKey(UserLicence, on_delete=models.CASCADE, db_column="user_id", related_name="link_codes")
    channel_type = models.TextField()
    short_digest = models.TextField(unique=True)
    token_digest = models.TextField(unique=True)
    state = models.TextField(db_default="open")
    channel_user_id = models.TextField(blank=True, db_default="", help_text="who used it; blank unless pending")
    name = models.TextField(blank=True, db_default="")
    reply_to = models.JSONField(
        db_default=models.Value({}, models.JSONField()), help_text="the channel's own address of the chat"
    )
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "link_codes"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "channel_type"], condition=models.Q(state="open"), name="link_code_open_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["channel_type", "channel_user_id"],
                condition=models.Q(state="pending"),
                name="link_code_of_account",
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel_type} for {self.user_id} ({self.state})"


class LinkTries(models.Model):
    """How often a chat account, an address or everybody together has tried codes since a moment; see accounts.link_tries."""

    scope = models.TextField(primary_key=True)
    since = models.DateTimeField(db_index=True)
    tries = models.PositiveIntegerField()

    class Meta:
        db_table = "link_tries"

    def __str__(self) -> str:
        return f"{self.scope}: {self.tries}"


class WsTicket(models.Model):
    """A one-use ticket for a socket; only its SHA-256 is kept. `session` is the browser session that asked, if one did."""

    digest = models.TextField(primary_key=True)
    user_id = models.TextField()
    session = models.UUIDField(null=True)
    origin = models.TextField()
    identity_expires_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "ws_tickets"

    def __str__(self) -> str:
        return self.user_id


class AuditEntry(models.Model):
    """Who did what to whom, and when; see accounts.audit. Rows are only ever added."""

    id = models.UUIDField(primary_key=True, default=new_uuid)
    at = models.DateTimeField(auto_now_add=True, db_default=Now())
    actor = models.TextField(help_text="gateway, command, staff:<name> or user:<id>")
    action = models.TextField()
    user_id = models.TextField(blank=True, default="", db_default="", help_text="whom it is about")
    object = models.TextField(blank=True, default="", db_default="")
    details = models.JSONField(blank=True, default=dict, db_default=models.Value({}, models.JSONField()))

    class Meta:
        db_table = "audit"
        verbose_name = "audit entry"
        verbose_name_plural = "audit"
        indexes = [
            models.Index(fields=["user_id", "-id"], name="audit_of_user"),
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["action", "-id"], name="audit_by_action"),
            models.Index(fields=["object", "-id"], name="audit_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.user_id}".rstrip()

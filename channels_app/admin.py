"""In the admin: deliveries, looked at and not edited, since the rows follow what was sent; links, made and ended."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admin.lists import ColumnFilter, ListAdmin, ReadOnlyAdmin, actor_of
from accounts.links import LinkRefused, remove_links
from accounts.models import ChannelLink
from channels_app.channels import channels
from channels_app.linking import check_account, link_account
from channels_app.models import Delivery, DeliveryState
from gateway.ids import is_id


def channel_choices() -> list[tuple[str, str]]:
    """The channels that there are, on or off."""
    return [(name, channel.label) for name, channel in channels().items()]


class StateFilter(ColumnFilter):
    """Deliveries by state."""

    title = parameter_name = column = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return list(DeliveryState.choices)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """What left for the chat apps, and what became of it."""

    list_display = ("id", "lane", "user_id", "kind", "part", "state", "attempts", "receipt", "error", "created_at")
    list_filter = (StateFilter,)
    search_fields = ("user_id", "turn", "lane")
    search_help_text = "A user id, a turn's id or a chat as channel:chat, whole"
    # The text is the user's, not the staff's.
    exclude = ("body",)
    ordering = ("-id",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Without the text."""
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.defer("body")

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """A turn's, or else a user's, or else a chat's."""
        if is_id(term):
            return queryset.filter(turn=term)
        of_user: QuerySet[Any] = queryset.filter(user_id=term)
        return of_user if of_user.exists() else queryset.filter(lane=term)


class ChannelFilter(ColumnFilter):
    """Links by channel."""

    title = parameter_name = "channel"
    column = "channel_type"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return channel_choices()


class LinkForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A link; its account must have the form of its channel's."""

    channel_type = forms.ChoiceField(label="Channel", choices=channel_choices, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = ChannelLink
        fields = ("user", "channel_type", "channel_user_id")
        widgets = {"channel_user_id": UnfoldAdminTextInputWidget}

    def clean(self) -> dict[str, Any]:
        """Ask the channel."""
        cleaned: dict[str, Any] = super().clean() or {}
        channel, account = cleaned.get("channel_type"), cleaned.get("channel_user_id")
        if channel and account:
            try:
                check_account(channel, account)
            except LinkRefused as refused:
                self.add_error("channel_user_id", str(refused))
        return cleaned


@admin.register(ChannelLink)
class ChannelLinkAdmin(ListAdmin):
    """Who speaks through which account of another platform. A link is made or ended, never turned to somebody else."""

    form = LinkForm
    fields = ("user", "channel_type", "channel_user_id")
    list_display = ("channel_user_id", "channel_type", "name", "user_id", "created_at")
    list_filter = (ChannelFilter,)
    search_fields = ("channel_user_id", "user_id")
    search_help_text = "A user id or an account's id, whole"
    autocomplete_fields = ("user",)
    ordering = ("channel_type", "channel_user_id")

    @override
    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """An account, or else a user's."""
        of_account = queryset.filter(channel_user_id=term)
        return of_account if of_account.exists() else queryset.filter(user_id=term)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """See the class."""
        return False

    @override
    def save_model(self, request: HttpRequest, obj: ChannelLink, form: Any, change: bool) -> None:
        """As `manage.py link_channel` does."""
        try:
            link_account(
                user_id=obj.user_id, channel=obj.channel_type, account=obj.channel_user_id, actor=actor_of(request)
            )
        except LinkRefused as refused:
            # The form has looked at the same; somebody else was faster.
            raise BadRequest(str(refused)) from refused

    @override
    def delete_model(self, request: HttpRequest, obj: ChannelLink) -> None:
        """End the link, and say who did."""
        remove_links([obj.pk], actor=actor_of(request))

    @override
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ChannelLink]) -> None:
        """The same for many."""
        remove_links(list(queryset.values_list("pk", flat=True)), actor=actor_of(request))

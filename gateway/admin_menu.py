"""The admin's menu and colours; each entry is shown to those who may see its page."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

TEAL = {
    "50": "#f0fdfa", "100": "#ccfbf1", "200": "#99f6e4", "300": "#5eead4", "400": "#2dd4bf", "500": "#14b8a6",
    "600": "#0f766e", "700": "#115e59", "800": "#134e4a", "900": "#0f3d3a", "950": "#042f2e",
}  # fmt: skip


def options() -> dict[str, Any]:
    """For UNFOLD of the settings."""
    return {
        "SITE_TITLE": "Dexorder",
        "SITE_HEADER": "Dexorder",
        "SITE_SUBHEADER": "Gateway",
        "SITE_SYMBOL": "candlestick_chart",
        "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("favicon.svg")}],
        "STYLES": [lambda _request: static("css/charts.css"), lambda _request: static("css/admin.css")],
        "COLORS": {"primary": TEAL},
        "SIDEBAR": {"navigation": "gateway.admin_menu.navigation"},
        "DASHBOARD_CALLBACK": "channels_app.dashboard.view.show",
    }


def navigation(_request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of the menu."""
    return [
        {"items": [{"title": "Dashboard", "icon": "monitoring", "link": reverse_lazy("admin:index")}]},
        {
            "title": "Users",
            "separator": True,
            "items": [
                _item("Licences", "badge", "accounts", model="userlicence"),
                _item("Links", "link", "accounts", model="channellink"),
                _item("Usage", "bar_chart", "accounts", model="usage"),
            ],
        },
        {
            "title": "What happens",
            "separator": True,
            "items": [
                _item("Turns", "forum", "agents", model="turn"),
                _item("Approvals", "approval_delegation", "agents", model="approval"),
                _item("Questions", "help", "agents", model="question"),
                _item("Schedules", "schedule", "agents", model="schedule"),
                _item("Deliveries", "outgoing_mail", "channels_app", model="delivery"),
                _item("Workspaces", "deployed_code", "provisioning", model="workspace"),
            ],
        },
        {
            "title": "Staff",
            "separator": True,
            "items": [
                _item("Audit", "history", "accounts", model="auditentry"),
                _item("Staff", "shield_person", "auth", model="user"),
                _item("Groups", "group", "auth", model="group"),
            ],
        },
    ]


def _item(title: str, icon: str, app: str, *, model: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": _may_view(app, model),
    }


def _may_view(app: str, model: str) -> Callable[[HttpRequest], bool]:
    def may(request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"{app}.view_{model}") or user.has_perm(f"{app}.change_{model}"))

    return may

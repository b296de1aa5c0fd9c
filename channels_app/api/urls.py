"""The addresses under /api/v1/."""

from django.urls import path, re_path

from channels_app.api.account import MeView, ModelsView, SessionView, TicketView
from channels_app.api.approvals import AnswerView, ApprovalsView, ApprovalView, DecisionView, QuestionsView
from channels_app.api.base import MissingView
from channels_app.api.charts import ChartView
from channels_app.api.conversations import ConversationsView, ConversationView
from channels_app.api.links import ConfirmView, LinkCodesView, LinksView, LinkView, RejectView
from channels_app.api.pictures import PictureView
from channels_app.api.preferences import PreferencesView
from channels_app.api.schedules import SchedulesView, ScheduleView
from channels_app.api.stream import turn_events
from channels_app.api.turns import CancelView, TurnsView, TurnView
from channels_app.api.uploads import UploadsView, UploadView
from channels_app.api.usage import UsageView
from channels_app.api.workspace import WorkspaceView

urlpatterns = [
    path("ws-ticket", TicketView.as_view()),
    path("session", SessionView.as_view()),
    path("me", MeView.as_view()),
    path("models", ModelsView.as_view()),
    path("usage", UsageView.as_view()),
    path("links", LinksView.as_view()),
    path("links/codes", LinkCodesView.as_view()),
    path("links/<str:link>", LinkView.as_view()),
    path("links/<str:link>/confirm", ConfirmView.as_view()),
    path("links/<str:link>/reject", RejectView.as_view()),
    path("conversations", ConversationsView.as_view()),
    path("conversations/<str:conversation>", ConversationView.as_view()),
    path("turns", TurnsView.as_view()),
    path("turns/<str:turn>", TurnView.as_view()),
    path("turns/<str:turn>/cancel", CancelView.as_view()),
    path("turns/<str:turn>/events", turn_events),
    path("pictures/<str:picture>", PictureView.as_view()),
    path("preferences", PreferencesView.as_view()),
    path("approvals", ApprovalsView.as_view()),
    path("approvals/<str:approval>", ApprovalView.as_view()),
    path("approvals/<str:approval>/decision", DecisionView.as_view()),
    path("questions", QuestionsView.as_view()),
    path("questions/<str:question>/answer", AnswerView.as_view()),
    path("uploads", UploadsView.as_view()),
    path("uploads/<str:upload>", UploadView.as_view()),
    path("schedules", SchedulesView.as_view()),
    path("schedules/<str:schedule>", ScheduleView.as_view()),
    path("backtests/<str:backtest>/chart.png", ChartView.as_view()),
    path("workspace", WorkspaceView.as_view()),
    re_path("", MissingView.as_view()),
]

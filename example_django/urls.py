"""URLs of the examples. The pages are served by Django, too, to keep the example small."""

from django.urls import path, re_path
from django.views.static import serve

from . import (
    assistant,
    chat,
    clock,
    counter,
    datastar,
    htmx,
    live_users,
    orders,
    pages,
    progress,
    smart_home,
    tokens,
    updates,
    workers,
)

# But not the packages that npm installs, nor the templates.
FILES = r"style\.css|live\.js|origin\.js|(?:built|react|vue)/[^/]+"

urlpatterns = [
    path("counter/events", counter.events),
    path("clock/events", clock.events),
    path("clock/restart", clock.restart),
    path("live-users/events", live_users.events),
    path("smart-home/events", smart_home.events),
    path("smart-home/<str:room>", smart_home.switch),
    path("chat/events", chat.events),
    path("chat/message", chat.message),
    path("updates/events", updates.events),
    path("updates/origins", updates.origins),
    path("progress/events", progress.events),
    path("progress/<str:key>.csv", progress.download),
    path("progress/", progress.ProgressView.as_view()),
    path("tokens/v1/chat/completions", tokens.completions),
    path("tokens/v1/chat/completions/<str:key>", tokens.AnswerView.as_view(), name="answer"),
    path("tokens/ends", tokens.ends),
    path("assistant/chat", assistant.ask),
    path("assistant/chat/<str:chat>/stream", assistant.resume, name="assistant-resume"),
    path("assistant/chat/<str:chat>", assistant.stop),
    path("orders/events", orders.OrderEvents.as_view()),
    path("orders/", orders.OrderView.as_view()),
    path("htmx/greetings", htmx.greetings),
    path("htmx/events", htmx.events),
    path("datastar/events", datastar.events),
    path("workers/events", workers.events),
    path("", pages.page, {"name": "index"}),
    path("source/<str:name>", pages.source),
    re_path(rf"^pages/(?P<path>{FILES})$", serve, {"document_root": pages.PAGES}),
    path("<path:name>/", pages.page),
]

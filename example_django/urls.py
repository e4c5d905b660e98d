"""URLs of the examples. The front-end files are served by Django, to keep the example small."""

from django.urls import path, re_path
from django.views.static import serve

from . import views
from .settings import PAGES

urlpatterns = [
    path("", serve, {"document_root": PAGES, "path": "index.html"}),
    path("pages/<path:path>", serve, {"document_root": PAGES}),
    path("counter/events", views.counter),
    path("clock/events", views.clock),
    path("clock/restart", views.restart),
    path("progress/events", views.progress),
    path("progress/", views.ProgressView.as_view()),
    re_path(r"^(?P<name>counter|clock)/$", views.page),
]

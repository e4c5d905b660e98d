"""The pages, which both frameworks share, and the sources of the examples."""

from django.conf import settings
from django.http import FileResponse, Http404
from django.views.decorators.http import require_safe
from django.views.static import serve

PAGES = settings.PAGES
SOURCES = {
    *(
        "assistant.py",
        "chat.py",
        "clock.py",
        "counter.py",
        "datastar.py",
        "htmx.py",
        "live_users.py",
        "models.py",
    ),
    *("orders.py", "progress.py", "smart_home.py", "tokens.py", "updates.py"),
    *("urls.py", "workers.py"),
}


@require_safe
def page(request, name):
    return serve(request, f"{name}.html", document_root=PAGES)


@require_safe
def source(request, name):
    if name not in SOURCES:
        raise Http404
    return FileResponse(open(settings.HERE / name, "rb"), content_type="text/plain; charset=utf-8")

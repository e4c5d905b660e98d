"""
A report as a job: it is written once, whoever watches. Its progress is shown by any tab through any
worker, also after a reload, and the report can be downloaded.
"""

import csv
import io
import secrets
import time

from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views import View
from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import attach, start

from .models import Report
from .pages import page


class ProgressView(View):
    def get(self, request):
        return page(request, "progress")

    def post(self, request):
        # There is no log-in here, so whoever knows the key may see the report.
        key = secrets.token_urlsafe(16)
        start(f"report-{key}", write(key))
        return JsonResponse({"job": key}, status=202)


@require_GET
def events(request):
    return attach(request, f"report-{request.GET.get('job', '')}")


def write(key):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("number", "square", "root"))
    for percent in range(100):
        yield progress(percent)
        numbers = range(1000 * percent + 1, 1000 * percent + 1001)
        rows.writerows((n, n * n, f"{n**0.5:.6f}") for n in numbers)
        time.sleep(0.1)  # Yours would wait for a database.
    Report.objects.create(id=key, text=text.getvalue())
    yield progress(100)


def progress(percent):
    return ServerSentEvent({"percent": percent}, event="progress")


@require_GET
def download(request, key):
    report = get_object_or_404(Report, pk=key)
    headers = {"Content-Disposition": 'attachment; filename="report.csv"'}
    return HttpResponse(report.text, content_type="text/csv", headers=headers)

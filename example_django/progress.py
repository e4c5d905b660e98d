"""A long job's progress, from the database, so that any worker knows it, also after a restart."""

import time

from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.views import View
from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import event_stream

from .models import Job
from .pages import page


class ProgressView(View):
    def get(self, request):
        return page(request, "progress")

    def post(self, request):
        return JsonResponse({"job": Job.objects.create().pk})


@require_GET
@event_stream
def events(request):
    job = get_object_or_404(Job, pk=request.GET.get("job"))
    return steps(job.started)


def steps(started):
    percent = -1
    while percent < 100:
        reached = min(100, int((time.time() - started) * 10))
        if reached > percent:
            percent = reached
            yield ServerSentEvent({"percent": percent}, event="progress", id=percent)
        time.sleep(0.1)

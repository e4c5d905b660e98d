"""A chat: who is there, who joins and leaves, and every message, also after a broken connection."""

from django import forms
from django.http import JsonResponse
from django.views.decorators.http import require_GET, require_POST

from sse_sync import ServerSentEvent
from sse_sync.django import present, publish, publish_every, subscribe


class PersonForm(forms.Form):
    """With a log-in, take both from the user."""

    id = forms.CharField(max_length=50)
    name = forms.CharField(max_length=50)

    def clean_id(self):
        if not self.cleaned_data["id"].isprintable():
            raise forms.ValidationError("unusable")
        return self.cleaned_data["id"]


class MessageForm(PersonForm):
    message = forms.CharField(max_length=1000)


@require_GET
def events(request):
    form = PersonForm(request.GET)
    if not form.is_valid():
        return refusal(form)
    return subscribe(
        request,
        "chat",
        presence=form.cleaned_data["id"],
        info={"name": form.cleaned_data["name"]},
        grace=0.5,
        announce=("new-user", "user-leave"),
        snapshot=lambda: [ServerSentEvent(users(), event="all-users")],
        retry=300,  # Shorter than the grace, so that a broken connection does not count as leaving.
    )


@require_POST
def message(request):
    form = MessageForm(request.POST)
    if not form.is_valid():
        return refusal(form)
    publish("chat", form.cleaned_data, event="message")
    return JsonResponse(form.cleaned_data)


def refusal(form):
    missing = [name for name in form.fields if form.has_error(name, "required")]
    problem = f"missing: {', '.join(missing)}" if missing else f"unusable: {', '.join(form.errors)}"
    return JsonResponse({"error": problem}, status=400)


@publish_every(2.0, "chat", event="users")
def users():
    return [{"id": each.user, "name": each.info["name"]} for each in present("chat")]

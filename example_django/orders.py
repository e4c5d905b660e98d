"""Database rows on every open page: first the list, then each new row once it is committed."""

from django.db import transaction
from django.forms import ModelForm
from django.http import JsonResponse
from django.views import View

from sse_sync import ServerSentEvent
from sse_sync.django import ChannelView, publish_on_commit

from .models import Order
from .pages import page


class OrderForm(ModelForm):
    class Meta:
        model = Order
        fields = ["item", "quantity"]


class Failure(Exception):
    pass


def latest():
    newest = Order.objects.order_by("-pk")[:20]
    return [ServerSentEvent([order.as_dict() for order in newest][::-1], event="orders")]


class OrderEvents(ChannelView):
    channels = ["orders"]
    # The list is read after the subscription has begun, so no order is missed in between.
    stream_options = {"snapshot": latest}


class OrderView(View):
    def get(self, request):
        return page(request, "orders")

    def post(self, request):
        form = OrderForm(request.POST)
        if not form.is_valid():
            problems = "; ".join(f"{name}: {' '.join(why)}" for name, why in form.errors.items())
            return JsonResponse({"error": problems}, status=400)
        try:
            with transaction.atomic():
                order = form.save()
                # After the commit, so that every subscriber can see the row.
                publish_on_commit("orders", order.as_dict(), event="order")
                if "fail" in request.POST:
                    raise Failure("something failed after the order was saved")
        except Failure as exc:
            return JsonResponse({"error": str(exc)}, status=409)
        return JsonResponse(order.as_dict(), status=201)

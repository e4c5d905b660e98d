"""Database rows on every open page: first the list, then each new row once it is committed."""

from flask import Blueprint, abort, request

from sse_sync import ServerSentEvent

from .extensions import db, sse
from .models import Order

bp = Blueprint("orders", __name__, url_prefix="/orders")


@bp.get("/events")
def events():
    # The list is read after the subscription has begun, so no order is missed in between.
    return sse.subscribe("orders", snapshot=latest)


def latest():
    newest = db.session.scalars(db.select(Order).order_by(Order.id.desc()).limit(20))
    return [ServerSentEvent([order.as_dict() for order in newest][::-1], event="orders")]


@bp.post("/")
def create():
    item = request.form.get("item", "").strip()
    quantity = request.form.get("quantity", type=int)
    if not 0 < len(item) <= 50 or quantity is None or not 0 < quantity < 1000:
        abort(400, "give an item, and a quantity of 1 to 999")
    order = Order(item=item, quantity=quantity)
    db.session.add(order)
    db.session.flush()
    if "fail" in request.form:
        db.session.rollback()
        abort(409, "something failed after the order was saved and before it was committed")
    db.session.commit()
    # After the commit, so that every subscriber can see the row.
    sse.publish("orders", order.as_dict(), event="order")
    return order.as_dict(), 201

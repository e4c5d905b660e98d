"""The examples' database tables."""

from sqlalchemy.orm import Mapped, mapped_column

from .extensions import db


class Report(db.Model):
    """What a job has made, to be downloaded."""

    id: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]


class Device(db.Model):
    """A device in a room. One without a row is off."""

    room: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    is_on: Mapped[bool]


class Order(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    quantity: Mapped[int]

    def as_dict(self):
        return {"id": self.id, "item": self.item, "quantity": self.quantity}

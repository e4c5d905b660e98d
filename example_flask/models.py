"""What the examples keep in the database."""

from sqlalchemy.orm import Mapped, mapped_column

from .extensions import db


class Job(db.Model):
    """A long job. This one is made of time only; a real one would write down how far it is."""

    id: Mapped[str] = mapped_column(primary_key=True)
    started: Mapped[float]


class Device(db.Model):
    """Something in a room that can be switched. Those that are not here are off."""

    room: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    is_on: Mapped[bool]


class Order(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    quantity: Mapped[int]

    def as_dict(self):
        return {"id": self.id, "item": self.item, "quantity": self.quantity}

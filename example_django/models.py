"""The examples' database tables."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Report(models.Model):
    """What a job has made, to be downloaded."""

    id = models.CharField(primary_key=True, max_length=50)
    text = models.TextField()


class Device(models.Model):
    """A device in a room. One without a row is off."""

    room = models.CharField(max_length=20)
    name = models.CharField(max_length=20)
    is_on = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["room", "name"], name="one_of_a_name")]


class Order(models.Model):
    item = models.CharField(max_length=50)
    quantity = models.PositiveIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(999)]
    )

    def as_dict(self):
        return {"id": self.pk, "item": self.item, "quantity": self.quantity}

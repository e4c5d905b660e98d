"""Tables of the examples."""

import secrets
import time

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Job",
            [
                (
                    "id",
                    models.CharField(
                        default=secrets.token_urlsafe,
                        max_length=50,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("started", models.FloatField(default=time.time)),
            ],
        ),
        migrations.CreateModel(
            "Order",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("item", models.CharField(max_length=50)),
                (
                    "quantity",
                    models.PositiveIntegerField(
                        validators=[MinValueValidator(1), MaxValueValidator(999)]
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            "Device",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("room", models.CharField(max_length=20)),
                ("name", models.CharField(max_length=20)),
                ("is_on", models.BooleanField()),
            ],
        ),
        migrations.AddConstraint(
            "Device", models.UniqueConstraint(fields=["room", "name"], name="one_of_a_name")
        ),
    ]

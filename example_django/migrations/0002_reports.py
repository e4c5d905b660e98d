"""Reports instead of jobs, whose state is the library's now."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("example_django", "0001_examples")]
    operations = [
        migrations.DeleteModel("Job"),
        migrations.CreateModel(
            "Report",
            [
                ("id", models.CharField(max_length=50, primary_key=True, serialize=False)),
                ("text", models.TextField()),
            ],
        ),
    ]

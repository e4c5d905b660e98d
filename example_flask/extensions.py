"""The extensions, which every module shares."""

from flask_sqlalchemy import SQLAlchemy

from sse_sync.flask import SSE

db = SQLAlchemy()
sse = SSE()

"""
The Flask application for the benchmark of jobs.

Every job yields "ready", then waits for rounds: so and so many tokens, at an interval. The jobs
take turns within the interval, so that all together are as even as many users are. A round without
tokens ends them, in turn.
"""

from __future__ import annotations

import os
import threading
import time

from flask import Flask, request

from benchmarks.pace import paced
from sse_sync.flask import SSE

app = Flask(__name__)
app.config["SSE_HEARTBEAT"] = float(os.environ["HEARTBEAT"])
app.config["SSE_BROKER_URL"] = os.environ["BROKER"]
sse = SSE(app)


class Round:
    """What all jobs do next."""

    def __init__(self):
        self.begun = threading.Event()
        self.n = self.pause = self.at = 0


ROUNDS = [Round()]


def tokens(share):
    """Yield the tokens of one job; its share of the interval is from 0 to 1."""
    yield "ready"
    at = len(ROUNDS) - 1
    while True:
        this = ROUNDS[at]
        this.begun.wait()
        if not this.n:
            return time.sleep(share * this.pause / 1000)
        yield from paced(this.n, this.pause, begun=this.at + int(share * this.pause * 1e6))
        at += 1


@app.get("/ping")
def ping():
    """Any other request."""
    return "ok"


@app.get("/start/<name>/<int:number>")
def start(name, number):
    """Start a job, and view it."""
    share = number / int(request.args["of"])
    return sse.start(f"{name}-{number}", tokens(share)).response()


@app.get("/attach/<name>/<int:number>")
def attach(name, number):
    """View a job."""
    return sse.attach(f"{name}-{number % int(request.args['of'])}")


@app.get("/publish")
def publish():
    """Begin a round in half a second, so that all jobs are awake."""
    this = ROUNDS[-1]
    this.n, this.pause = int(request.args["n"]), int(request.args["pause"])
    this.at = time.monotonic_ns() + 500_000_000
    ROUNDS.append(Round())
    this.begun.set()
    return "ok"

"""WSGI middleware that applications use."""

import sys


class Passing:
    """What tracers do: a generator around the body, whose close() they see."""

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        """Pass everything on, but change a stream's response."""
        if not environ["PATH_INFO"].startswith("/subscribe"):
            return self.application(environ, start_response)

        def start(status, headers, exc_info=None):
            return start_response(status, headers, exc_info)

        return self._iterate(self.application(environ, start))

    def _iterate(self, body):
        try:
            yield from body
        finally:
            body.close()


class Appending(Passing):
    """Middleware that appends to the body."""

    def _iterate(self, body):
        yield from super()._iterate(body)
        yield b": behind the end\n"


class Counting(Passing):
    """Middleware that changes the bytes."""

    def _iterate(self, body):
        yield b": before\n"
        yield from super()._iterate(body)


def sentry(application):
    """Sentry's, with everything traced; events go nowhere."""
    import sentry_sdk
    from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

    sentry_sdk.init(transport=_note, traces_sample_rate=1.0, default_integrations=False)
    return SentryWsgiMiddleware(application)


def _note(event):
    # What an operator would see in the log.
    if event.get("type") != "transaction":
        sys.stdout.write(f"SENTRY {event}\n")


def opentelemetry(application):
    """OpenTelemetry's, with every span written to the output."""
    from opentelemetry import trace
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)
    return OpenTelemetryMiddleware(application)

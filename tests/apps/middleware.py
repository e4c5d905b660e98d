"""WSGI middleware as applications have it in front of them."""


class Passing:
    """What tracers do: a generator around the body, whose close() they see."""

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        """Pass everything on, of a stream's response in a way of its own."""
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
    """One that writes something behind the body."""

    def _iterate(self, body):
        yield from super()._iterate(body)
        yield b": behind the end\n"


class Counting(Passing):
    """One that changes the bytes."""

    def _iterate(self, body):
        yield b": before\n"
        yield from super()._iterate(body)

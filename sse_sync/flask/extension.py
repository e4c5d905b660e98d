"""The Flask extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flask

from ..brokers.presence import Present
from ..channels.access import AccessRefused, Grant, load_hook
from ..channels.app import AppHub, SubscribeOptions, response_options
from ..channels.hub import Hub
from ..channels.links import stream_query
from ..channels.presence import user_channel
from ..channels.publishing import PublishOptions, channel_first
from ..channels.schedule import Published, Schedule
from ..settings import Options
from ..streams.admission import admission
from ..streams.registry import registry
from . import signing
from .blueprint import make_blueprint
from .commands import commands
from .response import EventSourceResponse
from .state import OwnContext, Setup, current_state
from .views import refuse_misplaced, tell_of_page

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..channels.app import ResponseOptions
    from ..jobs.options import JobOptions
    from ..jobs.status import JobStatus
    from ..jobs.writer import JobWriter
    from ..streams.source import Source
    from .jobs import FlaskJob

__all__ = ["SSE"]

Authorize = Callable[[str], Any]


class SSE:
    """
    Give a Flask application event streams.

    One instance may serve several applications, because it stores nothing about them. Publishing
    and subscribing need an application context.

    Args:
        app: An application to initialise at once.
    """

    def __init__(self, app: flask.Flask | None = None) -> None:
        self._authorize: Authorize | None = None
        self._schedule = Schedule()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """
        Prepare the application. Its templates get the function ``sse_url``, which is
        :meth:`stream_url`.

        Its configuration keys are ``SSE_`` and the upper-case names in
        :data:`sse_sync.settings.OPTIONS`, such as ``SSE_HEARTBEAT`` and ``SSE_RETRY``. They may be
        set until the application's first stream or publish.

        Args:
            app: The application.

        Raises:
            ConfigurationError: If a value is unusable already.
            RuntimeError: If the application already has the extension.
        """
        if "sse_sync" in app.extensions:
            raise RuntimeError("this application already has an SSE extension: use that one")

        def make_hub(options: Options) -> AppHub:
            return AppHub(
                options,
                within=app.app_context,
                schedule=self._schedule,
                dumps=lambda value: app.json.dumps(value),
                broker_setting="SSE_BROKER_URL",
            )

        app.extensions["sse_sync"] = Setup(app.config, make_hub)
        app.jinja_env.globals["sse_url"] = self.stream_url
        app.cli.add_command(commands)
        app.wsgi_app = OwnContext(  # type: ignore[method-assign]
            app.wsgi_app, lambda: refuse_misplaced(app.view_functions)
        )
        app.after_request(tell_of_page)
        admission().prepare({}, registry())

    @property
    def hub(self) -> Hub:
        """The current application's hub: for its statistics, or to :func:`~sse_sync.listen`."""
        return current_state().app_hub.hub()

    def authorize(self, hook: Authorize) -> Authorize:
        """
        Register the function that decides whether a client may read a channel that it names.

        Use it as a decorator. The function is called in the request, once for each channel, in
        applications that do not set ``SSE_AUTHORIZE``. Only :obj:`True` allows the channel.

        Args:
            hook: Takes a channel's name.
        """
        self._authorize = hook
        return hook

    @channel_first
    def publish(self, channel: str, data: Any, **options: Unpack[PublishOptions]) -> str:
        """
        Publish an event to every subscriber of a channel. See :meth:`sse_sync.Hub.publish`.

        Args:
            channel: The channel to publish to.
            data: Text, or a value that becomes JSON with ``app.json``.
            options: ``event``, ``key``, ``meta``, ``token``, ``retry_for``, ``keep`` and
                ``sender``; see :class:`~sse_sync.channels.publishing.PublishOptions`.

        Returns:
            The event's id.
        """
        return self.hub.publish(channel, data, dumps=flask.current_app.json.dumps, **options)

    def publish_to_user(self, user: Any, data: Any, **options: Unpack[PublishOptions]) -> str:
        """Publish an event to a user's own channel. See :meth:`publish`, and its keywords."""
        return self.publish(user_channel(user), data, **options)

    def publish_every(
        self,
        seconds: float,
        channel: str,
        *,
        event: str | None = None,
        key: str | None = None,
        keep: bool = False,
    ) -> Callable[[Published], Published]:
        """
        Publish what a function returns, at intervals. See :meth:`.Schedule.publish_every`.

        ::

            @sse.publish_every(5, "dashboard", event="load")
            def load():
                return {"load": os.getloadavg()[0]}

        The function is called in an application context without a request.
        """
        return self._schedule.publish_every(seconds, channel, event=event, key=key, keep=keep)

    def disconnect(
        self,
        *,
        user: Any = None,
        channel: str | None = None,
        reason: str = "",
        for_good: bool = False,
    ) -> None:
        """End the streams of a user or a channel. See :meth:`sse_sync.Hub.disconnect`."""
        self.hub.disconnect(user=user, channel=channel, reason=reason, for_good=for_good)

    def reauthorize(self, *, user: Any = None, channel: str | None = None) -> None:
        """Have clients reconnect and be checked again. See :meth:`sse_sync.Hub.reauthorize`."""
        self.hub.reauthorize(user=user, channel=channel)

    def present(self, channel: str) -> list[Present]:
        """Return who is present, ordered by arrival. See :meth:`sse_sync.Hub.present`."""
        return self.hub.present(channel)

    def position(self) -> str:
        """
        Return the id after which everything comes that is published from now on. See
        :meth:`sse_sync.Hub.position`.
        """
        return str(self.hub.position())

    def start(
        self, key: str, source: Source, *, user: Any = None, **options: Unpack[JobOptions]
    ) -> FlaskJob:
        """
        Run a generator once, beside any request, and keep its output for every viewer. See
        :meth:`.AppJobs.start`.

        ::

            @app.post("/answers/<id>")
            def ask(id):
                job = sse.start(f"answer-{id}", answer(request.form["prompt"]), user=user_id())
                return job.response(location=url_for("read", id=id))

        The generator runs in an application context, and in no request: give it what it needs.
        """
        from .jobs import FlaskJob, app_jobs  # An application without jobs loads nothing of them.

        found = app_jobs().start(key, source, user=user, **options)
        return FlaskJob(found.jobs, found.record, is_new=found.is_new)

    def attach(self, key: str, **options: Unpack[ResponseOptions]) -> flask.Response:
        """
        Answer the current request with a job's output: everything once, from its beginning or from
        the client's last event ID, then live, then its end; 204 if there is no such job.

        Args:
            key: What the job is called.
            options: Keywords of :class:`~sse_sync.flask.EventSourceResponse`. ``user`` also says
                whose job it is: another user's is as if it did not exist.
        """
        from .jobs import app_jobs, respond

        return respond(app_jobs().find(key, options.get("user")), options)

    def cancel(self, key: str, *, user: Any = None, reason: str = "") -> bool:
        """End a job, wherever it runs. See :meth:`.Jobs.cancel`."""
        from .jobs import app_jobs

        return app_jobs().cancel(key, user, reason)

    def job_status(self, key: str, *, user: Any = None) -> JobStatus | None:
        """Return what is known of a job, or :obj:`None` if the user has none of that key."""
        from .jobs import app_jobs

        return app_jobs().status(key, user)

    def jobs(self, *, user: Any = None) -> list[JobStatus]:
        """Return the jobs whose output is kept, the latest first: of a user, or of everybody."""
        from .jobs import app_jobs

        return app_jobs().list(user)

    def job(
        self, key: str, *, user: Any = None, resume: bool = True, **options: Unpack[JobOptions]
    ) -> JobWriter:
        """Write a job's output from a task, in a ``with`` block. See :class:`.JobWriter`."""
        from .jobs import app_jobs

        return app_jobs().writer(key, user=user, resume=resume, **options)

    def subscribe(
        self, *channels: str, authorize: bool = False, **options: Unpack[SubscribeOptions]
    ) -> EventSourceResponse:
        """
        Answer the current request with the events of some channels. See :meth:`.AppHub.subscribe`.

        Args:
            channels: Names of channels, chosen by the view. Never pass on a name from the client,
                unless you set ``authorize=True`` or check yourself that it may read the channel.
            authorize: Whether the client names the channels, so that the function given to
                :meth:`authorize` has to allow each. A refusal is answered 403, which makes a
                browser stop; a name that no channel can have is answered 400.
            options: ``since``, ``replay``, ``not_before``, ``match``, ``until`` and ``sender``,
                see :class:`~sse_sync.channels.selection.SelectOptions`; ``filter``, ``snapshot``,
                ``overflow``, ``max_events``, ``max_bytes`` and ``tell_degraded``; ``user``,
                ``presence``, ``info``, ``grace`` and ``announce``: see
                :class:`~sse_sync.channels.app.SubscribeOptions`. All others are keywords of
                :class:`~sse_sync.flask.EventSourceResponse`.

        Raises:
            ConfigurationError: If a channel's name or an option is unusable, or the broker is
                ``memory://`` and the server has several processes.
        """
        state = current_state()
        hook = load_hook(state.options.authorize) or self._authorize
        try:
            subscription = state.app_hub.subscribe(
                flask.request.environ, channels, authorize=authorize, hook=hook, **options
            )
        except AccessRefused as exc:
            flask.abort(exc.status, exc.problem or None)
        return EventSourceResponse(subscription, **response_options(options))

    def blueprint(
        self,
        *channels: str,
        url: str = "/events",
        name: str = "sse",
        **options: Unpack[SubscribeOptions],
    ) -> flask.Blueprint:
        """
        Return a ready-made endpoint.

        ::

            app.register_blueprint(sse.blueprint("orders", url="/orders/events"))

        Without channels the client names them, as in ``/events?channel=a&channel=b``, and the
        function given to :meth:`authorize` decides about each. Or the client sends a token from
        :meth:`sign_channels`.

        Args:
            channels: Names of channels.
            url: The endpoint's URL.
            name: The blueprint's name. Each blueprint of an application needs a different one.
            options: Keywords of :meth:`subscribe`; ``user``, ``presence`` and those of
                :class:`~sse_sync.channels.selection.SelectOptions` may be functions, which are
                called in the request.
        """
        return make_blueprint(self.subscribe, self.check_token, channels, url, name, options)

    def sign_channels(self, *channels: str, user: Any = None, ttl: float = 300.0) -> str:
        """
        Return a token that lets a client read some channels. See :meth:`.Grant.issue`.

        For clients that can send neither cookies nor headers: ``/events?token=…`` at the endpoint
        of :meth:`blueprint`. It is signed with the application's secret key;
        ``SECRET_KEY_FALLBACKS`` are accepted.

        Raises:
            RuntimeError: If the application has no secret key.
        """
        return signing.sign_channels(*channels, user=user, ttl=ttl)

    def stream_url(
        self,
        endpoint: str,
        *channels: str,
        token: bool | str = False,
        since: Any = None,
        **values: Any,
    ) -> str:
        """
        Return the URL with which a page opens a stream that begins where the page was rendered.

        Templates call it ``sse_url``:

        .. code-block:: html+jinja

            <body data-events="{{ sse_url('order_events') }}">
            <body data-events="{{ sse_url('sse.events', 'orders', 'news', token=True) }}">

        Args:
            endpoint: As for :func:`flask.url_for`.
            channels: Channels that the client names; none for an endpoint that knows its channels.
            token: Whether the URL gets a token of :meth:`sign_channels` for the channels, or a
                token.
            since: The :meth:`position` before the page's data was read; by default the present one.
            values: Further arguments of :func:`flask.url_for`.
        """
        if token is True:
            token = self.sign_channels(*channels)
        query = stream_query(self.hub, channels, token or None, since)
        return flask.url_for(endpoint, **{**query, **values})

    def check_token(self, token: str) -> Grant | None:
        """Return what a token of :meth:`sign_channels` grants, or None if it is not valid."""
        return signing.check_token(token)

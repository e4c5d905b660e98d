"""
The Flask extension.

"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flask

from ..brokers.presence import Present
from ..channels.access import Grant, is_allowed, load_hook, what_is_wrong_with
from ..channels.app import AppHub
from ..channels.hub import Hub
from ..channels.mailbox import Overflow
from ..channels.presence import Presence, user_channel
from ..channels.schedule import Published, Schedule
from ..channels.subscription import Filter, Subscription
from ..settings import Options, misspelt, stream_options
from ..streams.admission import admission
from ..streams.registry import registry
from ..wsgi import last_event_id
from . import signing
from .blueprint import make_blueprint
from .commands import commands
from .response import EventSourceResponse
from .state import OwnContext, State, current_state

__all__ = ["SSE"]

logger = logging.getLogger("sse_sync")

Authorize = Callable[[str], Any]


class SSE:
    """
    Give a Flask application event streams.

    One instance may serve several applications; it keeps nothing of any of them. Publishing and
    subscribing need an application context.

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
        Read the configuration keys ``SSE_*``, and prepare the application.

        The keys are the upper-case names in :data:`sse_sync.settings.OPTIONS`, such as
        ``SSE_HEARTBEAT`` and ``SSE_RETRY``.

        Args:
            app: The application.

        Raises:
            ConfigurationError: If a value is unusable.
            RuntimeError: If the application has the extension already.

        """
        if "sse_sync" in app.extensions:
            raise RuntimeError("this application has an SSE extension already: use that one")
        options = Options.read(app.config, "SSE_")
        channels = AppHub(
            options,
            within=app.app_context,
            schedule=self._schedule,
            dumps=lambda value: app.json.dumps(value),
        )
        app.extensions["sse_sync"] = State(options, channels)
        for problem in misspelt(app.config, "SSE_"):
            logger.warning("%s", problem)
        app.cli.add_command(commands)
        app.wsgi_app = OwnContext(app.wsgi_app)  # type: ignore[method-assign]
        admission().prepare({}, registry())

    @property
    def hub(self) -> Hub:
        """
        The current application's hub: for its statistics, or to :func:`~sse_sync.listen`.

        """
        return current_state().channels.hub()

    def authorize(self, hook: Authorize) -> Authorize:
        """
        Let a function tell whether the current request may read a channel that its client names.

        Works as a decorator. It is asked in the request, for each channel, in applications that
        have no ``SSE_AUTHORIZE`` of their own. Nothing but :obj:`True` allows.

        Args:
            hook: Takes a channel's name.

        """
        self._authorize = hook
        return hook

    def disconnect(
        self,
        *,
        user: Any = None,
        channel: str | None = None,
        reason: str = "",
        for_good: bool = False,
    ) -> None:
        """
        End the streams of a user, or of a channel, in all processes; see
        :meth:`sse_sync.Hub.disconnect`.

        Args:
            user: Whose streams; of both, those of the user on the channel.
            channel: Streams that relay this channel.
            reason: Text for the page.
            for_good: Whether browsers are told to stop, and not to come back.

        Raises:
            ConfigurationError: If neither is given, or one is unusable.
            BrokerUnavailable: If the other processes cannot be reached.

        """
        self.hub.disconnect(user=user, channel=channel, reason=reason, for_good=for_good)

    def reauthorize(self, *, user: Any = None, channel: str | None = None) -> None:
        """
        Have clients come back and be asked again, in all processes; see
        :meth:`sse_sync.Hub.reauthorize`.

        Args:
            user: Whose streams; of both, those of the user on the channel.
            channel: Streams that relay this channel.

        Raises:
            ConfigurationError: If neither is given, or one is unusable.
            BrokerUnavailable: If the other processes cannot be reached.

        """
        self.hub.reauthorize(user=user, channel=channel)

    def present(self, channel: str) -> list[Present]:
        """
        Return who is on a channel in any process, who came first first.

        Args:
            channel: Where.

        Raises:
            ConfigurationError: If the channel's name is unusable.
            BrokerUnavailable: If that cannot be found out now.

        """
        return self.hub.present(channel)

    def sign_channels(self, *channels: str, user: Any = None, ttl: float = 300.0) -> str:
        """
        Return a token with which a client may read some channels, for clients that can send
        neither cookies nor headers: ``/events?token=…`` at the endpoint of :meth:`blueprint`.

        It is signed with the application's secret key; ``SECRET_KEY_FALLBACKS`` are accepted.
        Whoever has it may use it, also to come back, until it expires; a stream that was opened
        with it ends then.

        Args:
            channels: Which channels.
            user: Whom it is given to: whose stream it will be, to end it or to count it. It is not
                compared with whoever is logged in.
            ttl: For how many seconds.

        Raises:
            ConfigurationError: If a channel or the time is unusable.
            RuntimeError: If the application has no secret key.

        """
        return signing.sign_channels(*channels, user=user, ttl=ttl)

    def check_token(self, token: str) -> Grant | None:
        """
        Return what a token of :meth:`sign_channels` grants, or :obj:`None` if it is not valid.

        """
        return signing.check_token(token)

    def publish(
        self,
        channel: str,
        data: Any,
        *,
        event: str | None = None,
        key: str | None = None,
        meta: Mapping[str, Any] | None = None,
        token: str | None = None,
        retry_for: float = 0.0,
        keep: bool = True,
    ) -> str:
        """
        Publish an event to every subscriber of a channel. Needs an application context.

        Args:
            channel: Where to publish.
            data: Text, or a value that ``app.json`` can write.
            event: Event type.
            key: What the event is about, for filters and for :attr:`Overflow.LATEST`.
            meta: Anything that JSON can express, for filters; it is not sent.
            token: Names this publish, for callers that may repeat it, such as tasks: another
                one with the same token within ten minutes publishes nothing, and returns the
                id of the first.
            retry_for: Seconds, at most 60, for which to try again while the broker is
                unavailable; the event is stored once.
            keep: Whether clients that come back get it, too. Otherwise it is for those who are
                there now, such as what somebody is typing, and takes no room in the history. Who
                is just catching up may not get it.

        Returns:
            The event's id.

        Raises:
            ConfigurationError: If the channel's name or an argument is unusable.
            EventError: If the data or the event type cannot be sent.
            BrokerUnavailable: If it is not certain that the event was stored.

        """
        return self.hub.publish(
            channel,
            data,
            event=event,
            key=key,
            meta=meta,
            token=token,
            retry_for=retry_for,
            keep=keep,
            dumps=flask.current_app.json.dumps,
        )

    def publish_to_user(self, user: Any, data: Any, **arguments: Any) -> str:
        """
        Publish an event to a user's own channel, see :func:`~sse_sync.user_channel`.

        Args:
            user: Text, a number or a UUID.
            data: Text, or a value that ``app.json`` can write.
            arguments: Further arguments for :meth:`publish`.

        """
        return self.publish(user_channel(user), data, **arguments)

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
        Publish what a function returns, at intervals, while the channel has subscribers.

        ::

            @sse.publish_every(5, "dashboard", event="load")
            def load():
                return {"load": os.getloadavg()[0]}

        Every process that has subscribers calls it at the same moments, which are multiples of the
        interval, in an application context and no request; the first one publishes, so that each
        event comes once. Where it returns :obj:`None` nothing is published; where it raises an
        exception, that is logged, and it is called again the next time. If it takes longer than
        the interval, moments are left out.

        Args:
            seconds: From one time to the next, 0.05 to 86,400.
            channel: Where to publish.
            event: Event type.
            key: What the event is about, for filters and for :attr:`Overflow.LATEST`.
            keep: Whether clients that come back get what they have missed, and not only the next.

        Returns:
            A decorator, which leaves the function as it is.

        Raises:
            ConfigurationError: If an argument is unusable.
            EventError: If the event type cannot be sent.

        """
        return self._schedule.publish_every(seconds, channel, event=event, key=key, keep=keep)

    def subscribe(
        self,
        *channels: str,
        user: Any = None,
        presence: Any = None,
        info: Any = None,
        grace: float = 5.0,
        announce: bool | Sequence[str] = False,
        filter: Filter | None = None,
        snapshot: Callable[[], Iterable[Any]] | None = None,
        overflow: Overflow | str = Overflow.DISCONNECT,
        max_events: int = 1000,
        max_bytes: int = 1 << 20,
        tell_degraded: bool = False,
        authorize: bool = False,
        **arguments: Any,
    ) -> EventSourceResponse:
        """
        Answer the current request with the events of some channels.

        A client that comes back gets what it missed, and nothing twice; where something may be
        missing it gets a ``stream-reset`` event, and has to ask for the state anew. A
        client that is new gets a ``stream-open`` event first.

        Args:
            channels: Names of channels. They are the view's: never pass on what a client
                names without ``authorize=True``, or asking otherwise whether it may read
                that.
            user: Whose stream it is, text, a number or a UUID, so that it can be ended, asked
                about and counted by it.
            presence: The same of a user who shall be seen on the channels, see :meth:`present`.
            info: Anything that JSON can express, for those who see the user.
            grace: Seconds after the user's last stream for which the user is still seen, so that
                a reload is no leave.
            announce: Whether coming and leaving are published on the channels, as events
                ``presence-join`` and ``presence-leave`` with ``user`` and ``info``; or two
                other event types.
            filter: Takes an event's type, key and meta; tells whether this client gets it.
            snapshot: Returns events that tell the state, sent before the first one to a client
                that does not resume.
            overflow: What happens when the client is slower than its events.
            max_events: Events that may wait for the client.
            max_bytes: Bytes that may wait for the client.
            tell_degraded: Whether the client is told, in ``stream-degraded`` events with
                ``true`` or ``false``, when no events can arrive for now.
            authorize: Whether to ask the function of :meth:`authorize` about each channel,
                because the client names it; a refusal is a 403, which makes a browser stop, and
                what is no channel a 400.
            arguments: Further arguments for :class:`~sse_sync.flask.EventSourceResponse`.

        Raises:
            ConfigurationError: If a channel's name or an argument is unusable, or the broker is
                ``memory://`` and the server has several processes.

        """
        state = current_state()
        environ = flask.request.environ
        if authorize:
            problem = what_is_wrong_with(channels)
            if problem:
                flask.abort(400, problem)
        user_stream = state.channels.expect(
            environ,
            state.options.replace(stream_options(arguments)),
            user=user,
            channels=channels,
            presence=Presence.of(presence, info, grace, announce),
        )
        hook = load_hook(state.options.authorize) or self._authorize
        if authorize and not is_allowed(channels, hook):
            flask.abort(403)
        subscription = Subscription(
            hub=state.channels.hub(),
            channels=channels,
            last_event_id=last_event_id(environ),
            filter=filter,
            snapshot=snapshot,
            overflow=Overflow(overflow),
            max_events=max_events,
            max_bytes=max_bytes,
            tell_degraded=tell_degraded,
            user_stream=user_stream,
        )
        return EventSourceResponse(subscription, **arguments)

    def blueprint(
        self, *channels: str, url: str = "/events", name: str = "sse", **arguments: Any
    ) -> flask.Blueprint:
        """
        Return a ready-made endpoint.

        ::

            app.register_blueprint(sse.blueprint("orders", url="/orders/events"))

        Without channels the client names them, as in ``/events?channel=a&channel=b``, and
        :meth:`authorize` is asked about each; or it brings a token of :meth:`sign_channels`.

        Args:
            channels: Names of channels.
            url: Where it is.
            name: Name of the blueprint; several need different ones.
            arguments: Further arguments for :meth:`subscribe`; ``user`` and ``presence`` may be
                functions that are called in the request.

        """
        return make_blueprint(self.subscribe, channels, url, name, arguments)

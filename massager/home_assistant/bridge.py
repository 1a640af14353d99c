"""The bridge: the daemon's devices on a broker, for Home Assistant and everybody else there.

A front end of the daemon (daemon/house.py). Two connections: one for everything, one that hears
nothing but stops, so that no flood and no large payload on the first stands before a stop. The
broker may go and come: what is retained is published again, and nothing that was said meanwhile.
"""

import asyncio
import logging
import os
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import aiomqtt

from massager.daemon.backoff import wait_s
from massager.daemon.face import Subscription
from massager.errors import NoDevice
from massager.home_assistant.broker import BrokerUrl, connected, subscribe, until_lost
from massager.home_assistant.commands import schema_payload
from massager.home_assistant.desk import Desk
from massager.home_assistant.desks import Desks, Notices
from massager.home_assistant.discovery import Announcer
from massager.home_assistant.ids import DeviceIds
from massager.home_assistant.outbox import Outbox, Post
from massager.home_assistant.owners import ANSWER_S, ASK_AGAIN_S, Daemon
from massager.home_assistant.seeing import Keeper
from massager.home_assistant.topics import OFFLINE, ONLINE, NodeTopics
from massager.transports.interface import Settings

BIRTH_WAIT_S: Final = 1.0  # for more births, of a broker that comes and goes
BIRTH_SPREAD_S: Final = 2.0  # Home Assistant has just started and hears everybody at once
GOODBYE_S: Final = 0.7  # of the second that the daemon gives
SOON_S: Final = 5.0
LOST_SOON_MAX: Final = 3
ECHO_S: Final = 5.0  # for the broker to give back what it was told
_log = logging.getLogger(__name__)


class House(Protocol):
    """What the bridge needs of `massager.daemon.house.House`."""

    @property
    def keepers(self) -> Sequence[Keeper]:
        """The devices."""

    def subscribe(self) -> Subscription:
        """The events of every device."""


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Where, and as whom."""

    broker: BrokerUrl
    node: NodeTopics
    access: Settings
    origin: Announcer
    programs: Sequence[str]
    discovery: bool = True


def here() -> datetime:
    """The wall clock, with its offset."""
    return datetime.now().astimezone()


class _Again(Exception):
    """Connect anew: there is something that a connection has to begin with."""


class HomeAssistant:
    """One front end. `run` it; it ends by being cancelled."""

    def __init__(
        self,
        settings: BridgeSettings,
        ids: DeviceIds,
        *,
        now: Callable[[], datetime] = here,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._node = settings.node
        self._now = now
        self._chance = chance
        self._outbox = Outbox()
        self._stop_clearings = Outbox()  # by the connection that hears stops: no stop of its own
        self._me = Daemon(
            secrets.token_hex(6),
            self._node.node,
            socket.gethostname()[:64] or "?",
            os.getpid(),
            round(now().timestamp() * 1000),
        )
        self._notices = Notices()
        self._again = asyncio.Event()  # another desk or another name to connect with
        self._desks = Desks(
            self._me,
            ids,
            self._desk,
            self._outbox.say,
            self._notices,
            another=self._again.set,
            claimed=lambda: self._announce_in(2 * ANSWER_S),
        )
        self._birth: asyncio.TimerHandle | None = None
        self._is_second = False  # another daemon of this name lives: its availability is its own
        self._cleared: set[str] = set()
        self._echoed = asyncio.Event()
        self._is_ready = False
        self._ready_s = 0.0
        self._lost_soon = 0  # times in a row

    async def run(self, house: House) -> None:
        """Until it is cancelled: then the last words, `offline`, and goodbye."""
        events = house.subscribe()
        works = [
            self._stay_connected(),
            self._desks.hear(events),
            *(self._desks.watch(keeper) for keeper in house.keepers),
        ]
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:  # so are they, and once: the goodbye is not cut short
            await asyncio.wait(tasks, timeout=GOODBYE_S)
            raise
        finally:
            await _end(tasks)
            events.close()
            for desk in self._desks:
                desk.close()

    def _desk(self, keeper: Keeper, device: str) -> Desk:
        settings = self._settings
        return Desk(
            keeper,
            device,
            self._node,
            self._outbox,
            settings.origin,
            settings.programs,
            self._now,
            discovery=settings.discovery,
        )

    # --- the broker -------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            self._is_ready = False
            try:
                await self._connection()
            except _Again:
                failures = 0
                continue
            except NoDevice as error:
                self._notices.tell("broker", str(error))
            except (aiomqtt.MqttError, OSError) as error:
                self._lost(error)
            self._suspect()
            failures = 1 if self._is_ready else failures + 1
            await asyncio.sleep(wait_s(failures, self._chance()))

    async def _connection(self) -> None:
        """From the connection to its loss. Raises NoDevice, MqttError, _Again."""
        settings = self._settings
        will = aiomqtt.Will(self._node.availability, OFFLINE, qos=1, retain=True)
        client_id = f"massager-{self._node.node}"
        if self._is_second:
            client_id, will_here = f"{client_id}-{self._me.instance}", None
        else:
            will_here = will
        self._cleared.clear()
        async with (
            connected(settings.broker, settings.access, client_id, self._take, will_here) as client,
            connected(
                settings.broker, settings.access, f"{client_id}-stop", self._take_stop
            ) as stops,
        ):
            try:
                await self._begin(client, stops)
                await self._live(client, stops)
            except asyncio.CancelledError:
                await self._say_goodbye(client)
                raise
            finally:
                self._outbox.is_open = False
                for desk in self._desks:
                    desk.keeper.forbid(None)  # nobody can be asked: the device's lease decides

    async def _begin(self, client: aiomqtt.Client, stops: aiomqtt.Client) -> None:
        self._again.clear()
        url, desks = self._settings.broker, list(self._desks)
        if desks:
            stop_topics = (desk.topics.stop for desk in desks)
            await subscribe(stops, url, stop_topics, tell_retained=False, own=False)
            commands = (desk.topics.command for desk in desks)
            await subscribe(client, url, commands, tell_retained=True, own=False)
        others = [topic for desk in desks for topic in (desk.topics.ask, desk.topics.answer)]
        others += [self._node.availability]
        if self._settings.discovery:
            others.append(self._node.birth)
        await subscribe(client, url, others, tell_retained=False)
        self._echoed.clear()
        if not self._is_second:
            await client.publish(self._node.availability, ONLINE, qos=1, retain=True)
        self._outbox.is_open = True
        self._announce_all()
        if not self._is_second:
            self._outbox.keep(self._node.schema, schema_payload())
        self._is_ready, self._ready_s = True, self._loop.time()
        self._notices.tell("broker", f"connected to {url} as {self._node.node}", logging.INFO)

    async def _live(self, client: aiomqtt.Client, stops: aiomqtt.Client) -> None:
        works = (
            until_lost(client),
            until_lost(stops),
            self._send(client, self._outbox),
            self._send(stops, self._stop_clearings),
            self._ask_around(),
            self._check_echo(),
            self._until_again(),
        )
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await _end(tasks)
        for task in done:
            error = task.exception()
            if error is not None:
                raise error

    async def _send(self, client: aiomqtt.Client, outbox: Outbox) -> None:
        while True:
            await _publish(client, await outbox.next())

    async def _until_again(self) -> None:
        await self._again.wait()
        raise _Again

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        """What is unsent, then `offline`; a clean end makes no use of the will."""
        for desk in self._desks:
            desk.show()
        with suppress(aiomqtt.MqttError, TimeoutError, OSError):
            async with asyncio.timeout(GOODBYE_S):
                while (post := self._outbox.next_now()) is not None:
                    await _publish(client, post)
                if not self._is_second:
                    await client.publish(self._node.availability, OFFLINE, qos=1, retain=True)

    async def _check_echo(self) -> None:
        """A too narrow access list is silent: the broker acknowledges and drops."""
        if self._is_second:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(ECHO_S):
                await self._echoed.wait()
                return
        self._notices.tell(
            "access",
            f"{self._settings.broker} does not give back what is published on "
            f"{self._node.availability}: its access list lets this user not write or not read it; "
            "docs/HOME_ASSISTANT.md has one that does",
        )

    # --- who keeps which device ------------------------------------------------------------------

    async def _ask_around(self) -> None:
        """Ask once who keeps the devices; while it is somebody else, ask again."""
        asked = list(self._desks)
        while True:
            self._desks.ask(asked)
            await asyncio.sleep(ANSWER_S)
            self._desks.decide(asked)
            self._settle_second()
            await asyncio.sleep(ASK_AGAIN_S * (1 - 0.2 * self._chance()))
            asked = [desk for desk in self._desks if not desk.serving]

    def _settle_second(self) -> None:
        """Where the other daemon of this name has left, be the first."""
        if self._is_second and any(desk.serving for desk in self._desks):
            self._is_second = False
            self._again.set()

    # --- what comes -------------------------------------------------------------------------------

    def _take(self, message: aiomqtt.Message) -> None:
        """One message, in the moment it arrives."""
        topic, payload = message.topic.value, message.payload
        if topic == self._node.availability:
            self._heard_availability(payload, retained=message.retain)
        elif topic == self._node.birth:
            if payload == ONLINE.encode() and not message.retain:
                self._heard_birth()
        elif message.retain:
            self._clear(topic, payload, self._outbox)
        else:
            self._desks.take(topic, payload)

    def _take_stop(self, message: aiomqtt.Message) -> None:
        topic = message.topic.value
        if message.retain:
            self._clear(topic, message.payload, self._stop_clearings)
        else:
            self._desks.take(topic, message.payload)

    def _clear(self, topic: str, payload: bytes, outbox: Outbox) -> None:
        """A retained command does nothing, and is taken away, once."""
        if payload and self._desks.knows(topic) and topic not in self._cleared:
            self._cleared.add(topic)
            _log.warning(
                "%s: a retained message was ignored and is cleared; commands must not be retained",
                topic,
            )
            outbox.clear(topic)

    def _heard_birth(self) -> None:
        self._announce_in(BIRTH_WAIT_S + BIRTH_SPREAD_S * self._chance())

    def _announce_in(self, wait_s: float) -> None:
        """Announce all again, once for whatever asks for it until then."""
        if self._birth is None:
            self._birth = self._loop.call_later(wait_s, self._announce_all)

    def _announce_all(self) -> None:
        if self._birth is not None:
            self._birth.cancel()
            self._birth = None
        self._outbox.everything_again()

    def _heard_availability(self, payload: bytes, *, retained: bool) -> None:
        self._echoed.set()
        if payload == OFFLINE.encode() and not retained and self._is_ready and not self._is_second:
            self._outbox.keep(self._node.availability, ONLINE.encode(), again=True)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _lost(self, error: Exception) -> None:
        self._notices.tell(
            "broker", f"{self._settings.broker} is gone ({error}); it is tried again"
        )

    def _suspect(self) -> None:
        """Lost soon after it began, again and again: is there another one with our client id?

        Many brokers do not say so. Under another id, it is heard (owners.py).
        """
        is_soon = self._is_ready and self._loop.time() - self._ready_s < SOON_S
        self._lost_soon = self._lost_soon + 1 if is_soon else 0
        if self._lost_soon >= LOST_SOON_MAX:
            self._lost_soon = 0
            self._is_second = True


async def _end(tasks: list[asyncio.Future[None]] | list[asyncio.Task[None]]) -> None:
    """Cancel until they have ended: `wait_for` of Python 3.11 may swallow it once."""
    pending: set[asyncio.Future[None]] = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _publish(client: aiomqtt.Client, post: Post) -> None:
    await client.publish(post.topic, post.payload, qos=1, retain=post.retain)

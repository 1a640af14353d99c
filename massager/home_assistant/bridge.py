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
from massager.home_assistant.discovery import Origin
from massager.home_assistant.ids import DeviceIds
from massager.home_assistant.outbox import Outbox, Post
from massager.home_assistant.owners import ANSWER_S, ASK_AGAIN_S, Daemon, Ownership, Standing
from massager.home_assistant.seeing import Keeper
from massager.home_assistant.topics import OFFLINE, ONLINE, NodeTopics
from massager.transports.interface import Settings

LOOK_S: Final = 10.0  # without any news: minutes and rests change by themselves
SHOW_GAP_S: Final = 0.2  # between two looks, whatever happens
BIRTH_SPREAD_S: Final = 1.0  # Home Assistant has just started and hears everybody at once
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
    origin: Origin
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
        self._ids = ids
        self._now = now
        self._chance = chance
        self._outbox = Outbox()
        self._stop_clearings = Outbox()  # by the connection that hears stops: no stop of its own
        self._desks: dict[str, Desk] = {}  # by the device's id
        self._by_topic: dict[str, Callable[[bytes], None]] = {}
        self._owners: dict[str, Ownership] = {}
        self._me = Daemon(
            secrets.token_hex(6),
            self._node.node,
            socket.gethostname()[:64] or "?",
            os.getpid(),
            round(now().timestamp() * 1000),
        )
        self._is_second = False  # another daemon of this name lives: its availability is its own
        self._said: dict[str, str] = {}  # the last of each subject
        self._cleared: set[str] = set()
        self._echoed = asyncio.Event()
        self._again = asyncio.Event()
        self._is_ready = False
        self._ready_s = 0.0
        self._lost_soon = 0  # times in a row

    async def run(self, house: House) -> None:
        """Until it is cancelled: then the last words, `offline`, and goodbye."""
        events = house.subscribe()
        works = [
            self._stay_connected(),
            self._hear(events),
            *(self._watch(keeper) for keeper in house.keepers),
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
            for desk in self._desks.values():
                desk.close()

    # --- the devices ------------------------------------------------------------------------------

    async def _watch(self, keeper: Keeper) -> None:
        """Show what changes about one device, for ever; get to know it first."""
        desk = None
        while True:
            seen = keeper.sighting
            is_news = seen is not None and self._ids.learn(keeper.device, seen.identity.name)
            if desk is None or is_news:
                desk = self._desk(keeper, desk)
            if desk is not None:
                desk.show()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await keeper.changed()
            await asyncio.sleep(SHOW_GAP_S)

    def _desk(self, keeper: Keeper, before: Desk | None) -> Desk | None:
        """The desk for a device whose id is known; connects anew where it is another one."""
        device = self._ids.id_of(keeper.device)
        if device is None:
            self._tell(
                keeper.name,
                f"{keeper.name}: not announced before it was seen once; device_id in the config "
                "announces it at once",
            )
            return None
        if device in self._desks and self._desks[device].keeper is not keeper:
            other = self._desks[device].keeper.name
            self._tell(
                keeper.name,
                f"{keeper.name}: the device calls itself {device}, and so does that of {other}; "
                "it is not announced: give each its own id",
            )
            return None
        if before is not None:
            if before.device == device:
                return before
            del self._desks[before.device]
            before.serve(serving=False)
        settings = self._settings
        desk = Desk(
            keeper,
            device,
            self._node,
            self._outbox,
            settings.origin,
            settings.programs,
            self._now,
            discovery=settings.discovery,
        )
        self._desks[device] = desk
        self._owners[device] = Ownership(self._me)
        self._by_topic |= {
            desk.topics.command: desk.take,
            desk.topics.stop: desk.take_stop,
            desk.topics.ask: lambda payload: self._asked(desk, payload),
            desk.topics.answer: lambda payload: self._owners[device].heard_answer(payload),
        }
        self._again.set()
        return desk

    async def _hear(self, events: Subscription) -> None:
        while True:
            event = await events.next()
            for desk in self._desks.values():
                if desk.keeper.name == event.name:
                    desk.heard(event)

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
                self._tell("broker", str(error))
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
                for desk in self._desks.values():
                    desk.keeper.forbid(None)  # nobody can be asked: the device's lease decides

    async def _begin(self, client: aiomqtt.Client, stops: aiomqtt.Client) -> None:
        self._again.clear()
        url, desks = self._settings.broker, list(self._desks.values())
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
        self._outbox.everything_again()
        if not self._is_second:
            self._outbox.keep(self._node.schema, schema_payload())
        self._is_ready, self._ready_s = True, self._loop.time()
        self._tell("broker", f"connected to {url} as {self._node.node}", logging.INFO)

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
        for desk in self._desks.values():
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
        self._tell(
            "access",
            f"{self._settings.broker} does not give back what is published on "
            f"{self._node.availability}: its access list lets this user not write or not read it; "
            "docs/HOME_ASSISTANT.md has one that does",
        )

    # --- who keeps which device ------------------------------------------------------------------

    async def _ask_around(self) -> None:
        """Ask once who keeps the devices; while it is somebody else, ask again."""
        asked = list(self._desks.values())
        while True:
            for desk in asked:
                self._outbox.say(desk.topics.ask, self._owners[desk.device].ask())
            await asyncio.sleep(ANSWER_S)
            for desk in asked:
                self._decide(desk)
            asked = [desk for desk in self._desks.values() if not desk.serving]
            self._settle_second()
            await asyncio.sleep(ASK_AGAIN_S * (1 - 0.2 * self._chance()))

    def _decide(self, desk: Desk) -> None:
        owner = self._owners[desk.device]
        owner.decide()
        is_ours = owner.standing is Standing.KEEPING
        if not is_ours and owner.other is not None and owner.other.node == self._node.node:
            self._tell(
                "node",
                f"there is another daemon called {self._node.node}: {owner.other}; give one of "
                "them another node_id in [home_assistant]",
                logging.ERROR,
            )
        if not is_ours:
            self._tell(
                desk.keeper.name,
                f"{desk.keeper.name}: {owner.other} keeps the device {desk.device} already; it is "
                "not offered here as well (asked again every minute)",
            )
        desk.keeper.forbid(
            None
            if is_ours
            else f"{owner.other} keeps this device; start there, or end that daemon and try again "
            "in a minute"
        )
        if is_ours != desk.serving:
            desk.serve(is_ours)

    def _settle_second(self) -> None:
        """Where the other daemon of this name has left, be the first."""
        if self._is_second and any(desk.serving for desk in self._desks.values()):
            self._is_second = False
            self._again.set()

    def _asked(self, desk: Desk, payload: bytes) -> None:
        answer = self._owners[desk.device].heard_question(payload)
        if answer is not None:
            self._outbox.say(desk.topics.answer, answer)

    # --- what comes -------------------------------------------------------------------------------

    def _take(self, message: aiomqtt.Message) -> None:
        """One message, in the moment it arrives."""
        topic, payload = message.topic.value, message.payload
        if topic == self._node.availability:
            self._heard_availability(payload, retained=message.retain)
        elif topic == self._node.birth:
            if payload == ONLINE.encode() and not message.retain:
                self._loop.call_later(
                    BIRTH_SPREAD_S * self._chance(), self._outbox.everything_again
                )
        elif message.retain:
            self._clear(topic, payload, self._outbox)
        else:
            self._hand_over(topic, payload)

    def _take_stop(self, message: aiomqtt.Message) -> None:
        topic = message.topic.value
        if message.retain:
            self._clear(topic, message.payload, self._stop_clearings)
        else:
            self._hand_over(topic, message.payload)

    def _hand_over(self, topic: str, payload: bytes) -> None:
        """To whom it is for. What goes wrong there must not take the connection with it."""
        take = self._by_topic.get(topic)
        if take is None:
            return
        try:
            take(payload)
        except Exception:
            _log.exception("%s: a message could not be taken; a fault of this program", topic)

    def _clear(self, topic: str, payload: bytes, outbox: Outbox) -> None:
        """A retained command does nothing, and is taken away, once."""
        if payload and topic in self._by_topic and topic not in self._cleared:
            self._cleared.add(topic)
            _log.warning(
                "%s: a retained message was ignored and is cleared; commands must not be retained",
                topic,
            )
            outbox.clear(topic)

    def _heard_availability(self, payload: bytes, *, retained: bool) -> None:
        self._echoed.set()
        if payload == OFFLINE.encode() and not retained and self._is_ready and not self._is_second:
            self._outbox.keep(self._node.availability, ONLINE.encode(), again=True)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _lost(self, error: Exception) -> None:
        self._tell("broker", f"{self._settings.broker} is gone ({error}); it is tried again")

    def _suspect(self) -> None:
        """Lost soon after it began, again and again: is there another one with our client id?

        Many brokers do not say so. Under another id, it is heard (owners.py).
        """
        is_soon = self._is_ready and self._loop.time() - self._ready_s < SOON_S
        self._lost_soon = self._lost_soon + 1 if is_soon else 0
        if self._lost_soon >= LOST_SOON_MAX:
            self._lost_soon = 0
            self._is_second = True

    def _tell(self, subject: str, text: str, level: int = logging.WARNING) -> None:
        """Once, until something else is to be told of it."""
        if self._said.get(subject) != text:
            self._said[subject] = text
            _log.log(level, "%s", text)


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

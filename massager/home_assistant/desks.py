"""The desks of this daemon: which device is whose, what comes for which, who else keeps one."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from massager.daemon.face import Subscription
from massager.home_assistant.desk import Desk
from massager.home_assistant.ids import DeviceIds
from massager.home_assistant.owners import Daemon, Ownership, Standing, kept_before
from massager.home_assistant.seeing import Keeper

LOOK_S: Final = 10.0  # without any news: minutes and rests change by themselves
SHOW_GAP_S: Final = 0.2  # between two looks, whatever happens
_log = logging.getLogger(__name__)


class Notices:
    """What the bridge logs of its own accord: once, until something else is to be told of it."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}  # the last of each subject

    def tell(self, subject: str, text: str, level: int = logging.WARNING) -> None:
        """Log `text` unless it was the last thing said about `subject`."""
        if self._said.get(subject) != text:
            self._said[subject] = text
            _log.log(level, "%s", text)


class Desks:
    """By the device's id and by topic.

    `make` is the desk of a keeper whose device has this id; `say` publishes to whoever listens now;
    `another` is called where there is one more, whose topics nobody listens to yet; `claimed` where
    another daemon shows a device of ours as its own for a moment.
    """

    def __init__(
        self,
        me: Daemon,
        ids: DeviceIds,
        make: Callable[[Keeper, str], Desk],
        say: Callable[[str, bytes], None],
        notices: Notices,
        another: Callable[[], None],
        claimed: Callable[[], None],
    ) -> None:
        self._me = me
        self._ids = ids
        self._make = make
        self._say = say
        self._notices = notices
        self._another = another
        self._claimed = claimed
        self._desks: dict[str, Desk] = {}
        self._owners: dict[str, Ownership] = {}
        self._by_topic: dict[str, Callable[[bytes], None]] = {}

    def __iter__(self) -> Iterator[Desk]:
        return iter(list(self._desks.values()))

    async def watch(self, keeper: Keeper) -> None:
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
        """The desk for a device whose id is known; another one where its id has changed."""
        device = self._ids.id_of(keeper.device)
        if device is None:
            self._notices.tell(
                keeper.name,
                f"{keeper.name}: not announced before it was seen once; device_id in the config "
                "announces it at once",
            )
            return None
        if device in self._desks and self._desks[device].keeper is not keeper:
            other = self._desks[device].keeper.name
            self._notices.tell(
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
        desk = self._make(keeper, device)
        owner = Ownership(self._me)
        self._desks[device], self._owners[device] = desk, owner
        self._by_topic |= {
            desk.topics.command: desk.take,
            desk.topics.stop: desk.take_stop,
            desk.topics.ask: lambda payload: self._asked(desk, payload),
            desk.topics.answer: lambda payload: self._answered(desk, payload),
        }
        self._another()
        return desk

    async def hear(self, events: Subscription) -> None:
        """Pass on what happens to the devices, for ever."""
        while True:
            event = await events.next()
            for desk in self:
                if desk.keeper.name == event.name:
                    desk.heard(event)

    def knows(self, topic: str) -> bool:
        """Whether what comes on `topic` is for one of them."""
        return topic in self._by_topic

    def take(self, topic: str, payload: bytes) -> None:
        """To whom it is for. What goes wrong there must not take the connection with it."""
        take = self._by_topic.get(topic)
        if take is None:
            return
        try:
            take(payload)
        except Exception:
            _log.exception("%s: a message could not be taken; a fault of this program", topic)

    # --- who keeps which device ------------------------------------------------------------------

    def ask(self, desks: list[Desk]) -> None:
        """Ask on the broker who keeps these; `decide` ends it."""
        for desk in desks:
            self._say(desk.topics.ask, self._owners[desk.device].ask())

    def decide(self, desks: list[Desk]) -> None:
        """Whoever keeps them had time to answer."""
        for desk in desks:
            self._decide(desk, self._owners[desk.device])

    def _answered(self, desk: Desk, payload: bytes) -> None:
        owner = self._owners[desk.device]
        owner.heard_answer(payload)
        if desk.serving and owner.standing is Standing.REFUSED:
            self._decide(desk, owner)  # it came late: what was decided does not hold

    def _decide(self, desk: Desk, owner: Ownership) -> None:
        owner.decide()
        is_ours = owner.standing is Standing.KEEPING
        if not is_ours and owner.other is not None and owner.other.node == self._me.node:
            self._notices.tell(
                "node",
                f"there is another daemon called {self._me.node}: {owner.other}; give one of "
                "them another node_id in [home_assistant]",
                logging.ERROR,
            )
        if not is_ours:
            self._notices.tell(
                desk.keeper.name,
                f"{desk.keeper.name}: {owner.other} keeps the device {desk.device} already; it is "
                "not offered here as well (asked again every minute)",
            )
        else:
            text = f"{desk.keeper.name}: offered on the broker as {desk.device}"
            self._notices.tell(desk.keeper.name, text, logging.INFO)
        desk.keeper.forbid(
            None
            if is_ours
            else f"{owner.other} keeps this device; start there, or end that daemon and try again "
            "in a minute"
        )
        if is_ours != desk.serving:
            desk.serve(is_ours)

    def _asked(self, desk: Desk, payload: bytes) -> None:
        answer = self._owners[desk.device].heard_question(payload)
        if answer is not None:
            self._say(desk.topics.answer, answer)
            if kept_before(payload):  # until it hears this, it shows the device as its own
                self._claimed()

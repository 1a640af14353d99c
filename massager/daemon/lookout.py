"""When a look is taken between sessions, and how whatever is more important breaks it off."""

import asyncio
import logging
from typing import Final

from massager.daemon.held_line import HeldLine
from massager.daemon.news import News
from massager.daemon.presence import Presence

_log = logging.getLogger(__name__)

STIR_GAP_S: Final = 1.0  # between two looks, however much the line stirs


class Lookout:
    """Of the device called `name`; tells `news` what has become of it."""

    def __init__(self, name: str, presence: Presence, line: HeldLine, news: News) -> None:
        self._name = name
        self._presence = presence
        self._line = line
        self._news = news
        self._look: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Look, unless something more important comes."""
        self._line.stirred.clear()
        before = self._presence.connection.state
        self._look = asyncio.ensure_future(self._presence.look())
        try:
            await asyncio.wait({self._look})
        except asyncio.CancelledError:
            self._look.cancel()
            raise
        finally:
            self._look = None
        after = self._presence.connection
        if after.state is not before:
            reason = f": {after.reason}" if after.reason else ""
            _log.info("%s: %s%s", self._name, after.state, reason)
        self._news.tell()

    def give_way(self) -> None:
        """End a look that is going on; it lets go of the line by itself."""
        if self._look is not None:
            self._look.cancel()

    async def break_off(self) -> None:
        """End a look that is going on, and wait until it has let go of the line."""
        look = self._look
        if look is not None:
            look.cancel()
            await asyncio.wait({look})

    async def pause(self) -> None:
        """Until the next look is due: sooner where the line stirs."""
        wait = self._presence.next_look_s
        await asyncio.sleep(min(STIR_GAP_S, wait))
        if wait > STIR_GAP_S:
            try:
                await asyncio.wait_for(self._line.stirred.wait(), wait - STIR_GAP_S)
            except TimeoutError:
                return

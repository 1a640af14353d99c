"""What waits to be published: the newest of each retained topic, and a few events and replies.

Bounded, whatever the broker does: a retained topic holds one payload, of the rest the oldest go.
"""

import asyncio
from collections import deque
from typing import Final, NamedTuple

PASSING_MAX: Final = 128


class Post(NamedTuple):
    """One message to publish."""

    topic: str
    payload: bytes
    retain: bool


class Outbox:
    """Filled without waiting; emptied by the connection, if there is one."""

    def __init__(self) -> None:
        self.is_open = False  # nobody listens: what passes by is dropped
        self._kept: dict[str, bytes] = {}
        self._unsent: dict[str, None] = {}
        self._passing: deque[Post] = deque(maxlen=PASSING_MAX)
        self._news = asyncio.Event()

    def keep(self, topic: str, payload: bytes, *, again: bool = False) -> None:
        """Have the broker hold `payload`; where it does already, only `again` sends it."""
        if again or self._kept.get(topic) != payload:
            self._kept[topic] = payload
            self._unsent[topic] = None
            self._news.set()

    def say(self, topic: str, payload: bytes) -> None:
        """To whoever listens now."""
        if self.is_open:
            self._passing.append(Post(topic, payload, retain=False))
            self._news.set()

    def clear(self, topic: str) -> None:
        """Take a retained message of somebody's away from the broker."""
        self._passing.append(Post(topic, b"", retain=True))
        self._news.set()

    def forget(self, *topics: str) -> None:
        """Somebody else keeps these now; nothing is sent."""
        for topic in topics:
            self._kept.pop(topic, None)
            self._unsent.pop(topic, None)

    def everything_again(self) -> None:
        """The broker, or Home Assistant, may have forgotten all of it."""
        self._unsent = dict.fromkeys(self._kept)
        self._news.set()

    def next_now(self) -> Post | None:
        """What is to be sent next, if anything is: replies and events before states."""
        if self._passing:
            return self._passing.popleft()
        for topic in self._unsent:
            del self._unsent[topic]
            return Post(topic, self._kept[topic], retain=True)
        return None

    async def next(self) -> Post:
        """As `next_now`; waits for it."""
        while (post := self.next_now()) is None:
            self._news.clear()
            await self._news.wait()
        return post

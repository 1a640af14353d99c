"""JSON from outside, read so that it means one thing to everybody: no key twice, no NaN. Pure."""

import json
from typing import Any, NoReturn


class NotOneObject(ValueError):
    """What was sent is not exactly one object; the text says why, and nothing of what was sent."""


def read_object(payload: bytes, most: int, what: str) -> dict[str, Any]:
    """The object in `payload`, of `most` bytes; `what` is its name in the words of an error.

    Raises NotOneObject.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise NotOneObject(f"a key stands twice in {what}")
        return found

    if len(payload) > most:
        raise NotOneObject(f"{what} is at most {most} bytes long")
    try:
        found = json.loads(payload, object_pairs_hook=once, parse_constant=_no_number)
    except NotOneObject:
        raise
    except (ValueError, RecursionError):
        raise NotOneObject(f"{what} is one JSON object in UTF-8") from None
    if not isinstance(found, dict):
        raise NotOneObject(f"{what} is a JSON object")
    return found


def _no_number(name: str) -> NoReturn:
    raise NotOneObject(f"{name} is no number")

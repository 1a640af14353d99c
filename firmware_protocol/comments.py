"""What the comments in `messages.py` and `limits.py` say; all that is generated quotes them."""

import inspect
import re
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from types import ModuleType
from typing import Final

from firmware_protocol import messages

_MEMBER: Final = re.compile(r"^    (?P<name>[A-Z_]+) = \d+  # (?P<meaning>.+)$", re.MULTILINE)
_CONSTANT: Final = re.compile(
    r"^(?P<name>[A-Z][A-Z_]*): Final = [^#\n]*?(?:  # (?P<why>.+))?$", re.MULTILINE
)

Words = type[IntEnum] | type[IntFlag]
ENUMERATIONS: Final[tuple[Words, ...]] = tuple(
    value
    for value in vars(messages).values()
    if isinstance(value, type) and value.__module__ == messages.__name__
    if issubclass(value, IntEnum | IntFlag)
)


def kebab(enumeration: type) -> str:
    """`EndReason` as `end-reason`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", enumeration.__name__).lower()


def meanings(enumeration: Words) -> dict[str, str]:
    """What the comments say of each member."""
    found = _MEMBER.finditer(inspect.getsource(enumeration))
    return {match["name"]: match["meaning"] for match in found}


def constants(module: ModuleType) -> Iterator[tuple[str, int | tuple[int, ...], str]]:
    """Name, value and reason ("" where the name says enough) of each number of `module`."""
    for found in _CONSTANT.finditer(inspect.getsource(module)):
        yield found["name"], getattr(module, found["name"]), found["why"] or ""

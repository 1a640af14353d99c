"""One source of settings (flags, environment or file), checked: a value, or what is wrong with it.

Every message names its place: the flag, the variable, or the file and the line.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ValidationError

from massager.config.devices import DEVICE_RULES, line_of_table, nearest_key
from massager.config.keys import BY_LEAF, QUIET_RULES, RULES, Values
from massager.errors import MassagerError, UsageError
from massager.transports.url import parse_url

_SHOWN_MAX: Final = 40
_OF_A_DEVICE: Final = "it belongs to a device: write it below [[devices]], a name and a device"


@dataclass(frozen=True, slots=True)
class Layer:
    """One source, as it came."""

    kind: Literal["flag", "environment", "file"]
    table: Mapping[str, object]
    name_of: Callable[[str], str]  # of a key: the flag, the variable, or the file and line
    error: type[MassagerError]
    text: str = ""  # of the file

    def wrong(self, key: str, text: str) -> MassagerError:
        """The error for `key`, with its place."""
        place = self.name_of(key)
        return self.error(f"{place}: {key} {text}" if self.kind == "file" else f"{place} {text}")

    def checked(self) -> dict[str, Any]:
        """The values that are given, by key. Raises the layer's error."""
        try:
            values = Values.model_validate(self.table)
        except ValidationError as error:
            raise self._explained(error) from None
        given = dict(_flat(values.model_dump(exclude_none=True, exclude={"quiet"})))
        if values.quiet is not None:
            given["quiet"] = tuple(table.hours() for table in values.quiet)
        if "device" in given:
            try:
                parse_url(given["device"])
            except UsageError as error:
                raise self.wrong("device", f"is wrong: {error}") from None
        if "devices" in given and ("device" in given or "device_id" in given):
            raise self.wrong("device", "and [[devices]] are both given; make it one of [[devices]]")
        if "mqtt.password" in given and "mqtt.password_file" in given:
            raise self.wrong("mqtt.password_file", "and mqtt.password are both given; give one")
        return given

    def _explained(self, error: ValidationError) -> MassagerError:
        """The error for what is wrong first: an unknown key before a value."""
        found = error.errors(include_url=False, include_context=False)
        first = min(found, key=lambda detail: detail["type"] != "extra_forbidden")
        if first["loc"][0] == "devices":
            return self._explained_table(first, "devices", DEVICE_RULES, "a device")
        if first["loc"][0] == "quiet":
            return self._explained_table(first, "quiet", QUIET_RULES, "quiet hours")
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            way_out = _OF_A_DEVICE if key == "person" else _nearest(key)
            return self.wrong(_shown(key).strip("'"), f"is no setting; {way_out}")
        if key not in RULES:
            return self.wrong(key, f"is a table; write [{key}] and its keys below")
        instead = (
            "" if key in ("mqtt.password", "mqtt.broker") else f", not {_shown(first['input'])}"
        )
        return self.wrong(key, f"is {RULES[key]}{instead}")

    def _explained_table(
        self, detail: Mapping[str, Any], table: str, rules: Mapping[str, str], what: str
    ) -> MassagerError:
        """The error for what is wrong in one of [[`table`]]."""
        if len(detail["loc"]) < 2:
            return self.wrong(table, f"is a row of tables; write [[{table}]] above each")
        number, *keys = detail["loc"][1:]
        key = ".".join(map(str, keys))
        if detail["type"] == "missing":
            text = f"{key} is missing: {rules[key]}"
        elif detail["type"] == "extra_forbidden":
            text = f"{_shown(key)[1:-1]} is no setting of {what}; {nearest_key(key, rules)}"
        else:
            text = f"{key} is {rules.get(key, 'a table')}, not {_shown(detail['input'])}"
        return self.wrong_table(number, text, table)

    def wrong_table(self, number: int, text: str, table: str = "devices") -> MassagerError:
        """The error for the [[`table`]] of this number, counted from 0."""
        line = line_of_table(self.text, number, table)
        return self.error(f"{self.name_of(table).rpartition(',')[0]}, line {line}: {text}")


def _nearest(unknown: str) -> str:
    """The setting that is most like `unknown`: by its words, then by its letters."""
    from difflib import SequenceMatcher  # only a mistake pays for it

    word = unknown.rpartition(".")[2].lower()[:_SHOWN_MAX]

    def likeness(leaf: str) -> tuple[int, float]:
        shared = len(set(leaf.split("_")) & set(word.split("_")))
        return shared, SequenceMatcher(None, word, leaf).ratio()

    table, _, leaf = BY_LEAF[max(BY_LEAF, key=likeness)].rpartition(".")
    return f"the nearest is {leaf} in [{table}]" if table else f"the nearest is {leaf}"


def _flat(table: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{inside}{key}.")
        else:
            yield inside + key, value


def _shown(value: object) -> str:
    """A wrong value for a message: cut, and on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, str) else str(value)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"

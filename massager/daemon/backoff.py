"""How long to wait between two tries: longer each time, never the same for all. Pure."""

from typing import Final

FIRST_S: Final = 0.5
CAP_S: Final = 60.0
PLUG_CAP_S: Final = 2.0  # a port that is not there costs nothing to look for: found within 3 s
_JITTER: Final = 0.25


def wait_s(tries: int, chance: float, cap_s: float = CAP_S) -> float:
    """Seconds before the next try after `tries` that failed; `chance` is 0…1, drawn anew.

    Doubles from 0.5 s to `cap_s` and is up to a quarter shorter by chance, so that many
    controllers do not come back to a broker in the same moment.
    """
    whole_s: float = min(FIRST_S * 2.0 ** min(max(tries - 1, 0), 20), cap_s)
    return whole_s * (1 - _JITTER * chance)

"""Every error a person can meet, in one tree, with the exit code beside it.

    MassagerError
    ├── UsageError               2  a flag or an argument is wrong
    ├── ConfigError              2  the config, a program file or the environment is wrong
    ├── Refused                  3  understood, and not done: the reason says why
    ├── NoDevice                 4  nothing could be opened, or what answered is no massager
    │   ├── PortMissing             the serial port is not there
    │   ├── PortBusy                somebody else holds it
    │   ├── PortNotPermitted        this user may not open it
    │   ├── ConnectionFailed        a TCP host or an MQTT broker cannot be reached
    │   ├── BrokerRefused           the broker refuses the user, the password or the client
    │   ├── CertificateRejected     TLS could not be verified
    │   ├── ConnectionLost          it was open and is gone (unplugged, closed, broker stopped)
    │   ├── NoHandshake             no IDENTITY came back
    │   └── WrongDevice             something answered, but not the device that may be driven
    ├── HistoryUnusable          5  the history cannot be read or written
    └── SessionFailed            5  a session ended in any other way

Messages name the thing, the range and the way out. Only the outermost shell prints them.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns."""

    OK = 0  # completed, or stopped by a person
    USAGE = 2
    REFUSED = 3
    NO_DEVICE = 4
    FAILED = 5
    INTERRUPTED = 130
    TERMINATED = 143


class MassagerError(Exception):
    """An error for a person: one sentence, and the way out in the same message."""

    exit_code = ExitCode.FAILED


class UsageError(MassagerError):
    """A flag or an argument is wrong."""

    exit_code = ExitCode.USAGE


class ConfigError(MassagerError):
    """The config, a program file or the environment is wrong."""

    exit_code = ExitCode.USAGE


class Refused(MassagerError):
    """Understood, and not done."""

    exit_code = ExitCode.REFUSED


class NoDevice(MassagerError):
    """Nothing could be opened, or what answered is no massager."""

    exit_code = ExitCode.NO_DEVICE


class PortMissing(NoDevice):
    """The serial port is not there."""


class PortBusy(NoDevice):
    """Somebody else holds the port."""


class PortNotPermitted(NoDevice):
    """This user may not open the port."""


class ConnectionFailed(NoDevice):
    """A TCP host or an MQTT broker cannot be reached."""


class BrokerRefused(NoDevice):
    """The broker refuses the user, the password or the client."""


class CertificateRejected(NoDevice):
    """TLS could not be verified."""


class ConnectionLost(NoDevice):
    """It was open and is gone."""


class NoHandshake(NoDevice):
    """No IDENTITY came back."""


class WrongDevice(NoDevice):
    """Something answered, but not the device that may be driven."""


class HistoryUnusable(MassagerError):
    """The history cannot be read or written."""


class SessionFailed(MassagerError):
    """A session ended in a way that is neither its plan nor a person's wish."""

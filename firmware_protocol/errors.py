"""Protocol errors, by guilt.

ProtocolError
├── LocalProtocolError      we asked for something the protocol forbids: our bug
└── RemoteProtocolError     what arrived breaks SPEC.md
    ├── BadFrame            damaged: COBS, size or CRC; never answered
    ├── UnknownType         a good frame of a type this side does not know
    ├── WrongLength         a good frame whose payload has not its type's length
    └── OutOfRange          a good frame with a field outside its range
"""


class ProtocolError(Exception):
    """Something outside the protocol, whoever did it."""


class LocalProtocolError(ProtocolError):
    """This side asked for something that SPEC.md forbids; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The other side sent something that SPEC.md forbids."""


class BadFrame(RemoteProtocolError):
    """A frame that could not be verified (COBS, size or CRC-32)."""


class UnknownType(RemoteProtocolError):
    """A verified frame of a type that is not in the table."""


class WrongLength(RemoteProtocolError):
    """A verified frame whose payload has not the length of its type."""


class OutOfRange(RemoteProtocolError):
    """A verified frame with a field outside the range of the table."""

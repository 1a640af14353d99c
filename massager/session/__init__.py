"""The session: from a start to the end of it, as pure functions that are told the time."""

"""The local socket: how other processes ask a controller that runs."""

"""The command line, as in the end-to-end tests."""

from command_line import call, refused

__all__ = ["call", "refused"]

"""Bytes that come from outside and go there: the one way to write files, and to read JSON, arrays and messages."""

"""Results: every frozen type that an operation of the registry returns, by subject.

The registry returns them, `mreg.wire` converts them to JSON and back, and the command line and the server present them.
A result holds domain values and does no I/O. Each of its fields is part of its JSON form or has a default, so that a
client of a server can build every result from the JSON of the server.
"""

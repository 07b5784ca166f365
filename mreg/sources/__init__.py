"""Registries of other tools, which an import reads through the tool's own client.

A server, its answers and the files that it names are hostile input.
"""

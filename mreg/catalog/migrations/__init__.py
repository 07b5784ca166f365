"""The schema, step by step: ``0001_name.sql`` brings an empty catalog to schema 1, and so on.

A file that has been released is never changed; a change of the schema is a new file.
"""

"""Migrations of the schema: ``0001_name.sql`` upgrades an empty catalog to schema 1, and so on.

Released files never change; a schema change is a new file.
"""

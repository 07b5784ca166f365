"""Profiles: the locations of catalogs and artifact stores, and the origin of each setting."""

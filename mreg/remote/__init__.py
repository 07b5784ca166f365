"""The HTTP client of `mreg serve`: connections, errors, and the spelling of references in paths."""

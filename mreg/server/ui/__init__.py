"""The web page at /ui: a read-only view of the registry, without scripts and without files from other hosts.

The server renders each page completely: HTML by Jinja2, charts and graphs as inline SVG, and one stylesheet. Stored
text is never inserted as markup.

- ``pages``: the routes.
- ``responses``: pages, error pages and assets as responses.
- ``rendering``: the templates and their filters, which escape all text.
- ``links``: every URL of a page.
- ``listing``, ``stage_entry``, ``timeline``, ``trend``, ``graph``: results of the registry, prepared for the templates.
"""

from mreg.server.ui.pages import router

__all__ = ["router"]

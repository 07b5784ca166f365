"""The page at /ui: the registry to look at, in a browser, without anything from outside and without a script.

Every page is made here whole: HTML by Jinja2, charts and graphs as SVG within it, one stylesheet beside it. Nothing is
changed from a page, and nothing that is stored is ever markup.

- ``pages``: the routes.
- ``answers``: what a route gives: a page, also for an error, or an asset.
- ``rendering``: templates, and the one way in which a stored text comes into them.
- ``links``: every address on a page.
- ``listing``, ``standing``, ``story``, ``trend``, ``tree``: values of the registry made ready to be shown.
"""

from mreg.server.ui.pages import router

__all__ = ["router"]

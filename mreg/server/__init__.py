"""The registry over HTTP, and a page to look at (``pip install 'mreg[server]'``, ``mreg serve``).

No rule of the registry is here: a request becomes a call on `mreg.Registry`, its value JSON by `mreg.wire`, its error a
problem by `mreg.server.problems`. What is here is what HTTP adds:

- ``settings``, ``tokens``: how it is served, and who may do what.
- ``connections``, ``protocol``: limits to connections, and HTTP on each of them.
- ``guard``: what every request must pass before anything is done for it.
- ``app``: the routes put together; ``models``, ``versions``, ``stages``, ``global_routes`` are the routes themselves.
- ``upload``, ``download``: bytes, as streams.
- ``monitoring``: health, metrics, access log. ``run``: the process.
- ``ui``: the page.
"""

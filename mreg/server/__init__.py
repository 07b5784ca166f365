"""The HTTP server of a registry with its web page (``pip install 'mreg[server]'``, ``mreg serve``).

This package has no rules of the registry. A route calls `mreg.Registry`, `mreg.wire` encodes the result as JSON, and
`mreg.server.problems` turns an error into a problem document. The modules add what HTTP needs:

- ``settings``, ``tokens``: configuration and access control.
- ``connections``, ``protocol``: connection limits and the HTTP protocol of each connection.
- ``guard``: the checks of every request before its route runs.
- ``app``: the application; ``models``, ``versions``, ``stages`` and ``global_routes`` have its routes.
- ``upload``, ``download``: streams of bytes.
- ``monitoring``: health, metrics and access log. ``run``: the server process.
- ``ui``: the web page.
"""

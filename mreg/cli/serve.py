"""Command for the HTTP server: serve."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Annotated

import typer

from mreg import streams
from mreg.cli.arguments import count, size_in_bytes, whole_number
from mreg.cli.invocation import Invocation, invocation_of
from mreg.cli.signals import Terminated
from mreg.cli.start import USUAL_COLLECTION
from mreg.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from mreg.server.settings import ServerSettings

HostNames = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host", metavar="NAME", help="Host name in the requests of clients.", rich_help_panel="Access"
    ),
]


def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[str, typer.Option("--port", metavar="N", help="Port; 0 for any free port.")] = "8000",
    token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="File of further tokens (default: MREG_SERVER_TOKENS with its lines).",
            rich_help_panel="Access",
        ),
    ] = None,
    allow_host: HostNames = None,
    root_path: Annotated[
        str | None,
        typer.Option(
            "--root-path",
            metavar="PATH",
            help="Prefix of all URLs (default: X-Forwarded-Prefix of trusted proxies).",
            rich_help_panel="Reverse proxy",
        ),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-proxy",
            metavar="ADDRESS",
            help="Address or network of a proxy whose X-Forwarded headers are used.",
            rich_help_panel="Reverse proxy",
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Refuse all changes.", rich_help_panel="Access")
    ] = False,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="Let clients transfer large blobs directly with the bucket."),
    ] = False,
    max_upload: Annotated[
        str,
        typer.Option(
            "--max-upload", metavar="SIZE", help="Maximum size of an upload, such as 10GB.", rich_help_panel="Limits"
        ),
    ] = "100GiB",
    json_log: Annotated[bool, typer.Option("--json-log", help="Write the access log as JSON.")] = False,
    grace: Annotated[
        str,
        typer.Option(
            "--grace",
            metavar="SECONDS",
            help="Maximum time for open requests after SIGTERM.",
            rich_help_panel="Limits",
        ),
    ] = "600",
    max_connections: Annotated[
        str | None,
        typer.Option(
            "--max-connections",
            metavar="N",
            help="Maximum number of open connections (default: half of ulimit -n).",
            rich_help_panel="Limits",
        ),
    ] = None,
    max_connections_per_address: Annotated[
        str | None,
        typer.Option(
            "--max-connections-per-address",
            metavar="N",
            help="Maximum number per address (default: half of --max-connections).",
            rich_help_panel="Limits",
        ),
    ] = None,
) -> None:
    """Serve the registry over HTTP.

    The web page is at /ui. Clients need tokens: create them with mreg token create. The name of the token is the user
    in the audit trail. Before the first token, the server listens only on loopback addresses, and all users of this
    machine have full access. A token file is read again when it changes. The access log goes to standard error.
    Ctrl-C or SIGTERM stops the server after it has finished the open requests, with exit code 0.

    Examples:
      mreg serve
      mreg serve --read-only --port 8080
      mreg serve --host 0.0.0.0 --allow-host models.example
      mreg serve --root-path /mreg --trusted-proxy 127.0.0.1
    """
    run = invocation_of(ctx)
    listen_port = whole_number(ctx, "--port", port, least=0, most=65535)
    grace_seconds = whole_number(ctx, "--grace", grace, least=0)
    connections = count(ctx, "--max-connections", max_connections)
    connections_per_address = count(ctx, "--max-connections-per-address", max_connections_per_address)
    limit = size_in_bytes(max_upload)
    try:
        from mreg.server.proxy import TrustedProxies, parse_network, parse_prefix
        from mreg.server.run import serve as serve_registry
        from mreg.server.settings import ServerSettings, is_loopback
        from mreg.server.tokens import CREATE_LINE, TokenFile, parse_tokens
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mreg"):
            raise
        from mreg.installation import extra_command

        raise Unavailable(
            f"serving needs packages that are not installed: {error}", hint=extra_command("server")
        ) from error
    file = TokenFile(token_file, run.output.warn) if token_file is not None else None
    text = os.environ.get("MREG_SERVER_TOKENS") if file is None else None
    tokens = parse_tokens(text, "MREG_SERVER_TOKENS") if text is not None else ()
    if text is not None and not tokens:
        raise BadInput("MREG_SERVER_TOKENS has no tokens", hint=CREATE_LINE)
    registry = run.local_registry("serve the registry")
    settings = ServerSettings(
        host=host,
        port=listen_port,
        tokens=tokens,
        token_file=file,
        stored_tokens=not is_loopback(host) and registry.has_active_token(),
        hosts=tuple(allow_host or ()),
        root_path=parse_prefix(root_path) if root_path is not None else None,
        trusted_proxies=TrustedProxies(tuple(map(parse_network, trusted_proxy or ()))),
        read_only=read_only,
        upload_limit=limit,
        direct=direct,
        json_log=json_log,
        grace_seconds=grace_seconds,
        connections=connections,
        connections_per_address=connections_per_address,
    )
    registry.check_places()
    if settings.trusted_proxies.networks and not (settings.needs_token or registry.has_active_token()):
        run.output.warn(
            "without a token, all clients of the proxy have full access; to create one: mreg token create NAME"
        )
    if direct:
        registry.check_presigning()
    gc.set_threshold(*USUAL_COLLECTION)
    try:
        serve_registry(registry, settings, lambda url: _announce(run, settings, url), run.output.warn)
    except Terminated:  # open requests are finished
        pass
    except KeyboardInterrupt:
        streams.try_to_say("", end="\n" if streams.is_terminal("stderr") else "")  # ends the terminal's line with ^C
        run.output.note("stopped")


def _announce(run: Invocation, settings: ServerSettings, url: str) -> None:
    run.output.warn(f"mreg serves {run.registry.profile.described} at {url}, the page is {url}/ui")
    if settings.refuses_names:
        allow = run.command_with("--allow-host NAME")
        run.output.warn(f"requests with a host name other than localhost get status 421; to allow one: {allow}")

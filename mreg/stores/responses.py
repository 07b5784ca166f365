"""What obstore reports about a failed request, and the text of error documents and pages; all of it is hostile text."""

from __future__ import annotations

import re

from mreg.stores.failures import Failure, Kind

LONGEST_BODY = 256 << 10
"""Maximum number of characters of an error response that are looked at. S3's have a few hundred."""

_DEBUG = "\n\nDebug source:\n"
_STATUS = re.compile(r"^\s+(?:inner: )?Status \{\s+status: (\d{3}),", re.MULTILINE)
_REDIRECT = re.compile(r"^\s+inner: BareRedirect", re.MULTILINE)
_HTTP = re.compile(r"HttpError \{\s+kind: (\w+),")
_OS = re.compile(r'^\s+(?:message|error): ("(?:[^"\\]|\\.)*"),?$', re.MULTILINE)
_CLIENT = re.compile(
    r"^\s+(?:error: )?(InvalidCertificate|InvalidMessage|AlertReceived|PeerMisbehaved|PeerIncompatible)\(", re.MULTILINE
)
_TLS_DETAIL = re.compile(r"^\s+([A-Z]\w+)(?:,| \{|\()?$", re.MULTILINE)
_URI = re.compile(r"^\s+uri: Some\(\s+(\S{1,2000}),\s+\),", re.MULTILINE)
_DELETE = re.compile(
    r'DeleteFailed \{.{0,4000}?code: "(\d{3})[^"]{0,100}",\s+reason: ("(?:[^"\\]|\\.){0,4000}")', re.DOTALL
)
"""A key that Azure refused to delete. obstore deletes with a batch, whose answer has a status for each key."""

_CREDENTIALS = re.compile(
    r"^\s+source: (AzureCli\w*|TokenRequest|FederatedTokenFile|MissingCredentials)\b", re.MULTILINE
)
_TUNNEL = re.compile(r"^\s+(?:ConnectFailed|Tunnel\w+|ProxyAuthRequired|MissingHost)\b", re.MULTILINE)
"""Failures of a CONNECT by a proxy."""

_BEYOND = re.compile(r'^\s+(?:source: StartTooLarge \{|value: "bytes 0--1/0",)', re.MULTILINE)
_WRONG_RANGE = ("NotPartial", "NoContentRange", "UnexpectedRange")

_ELEMENT = r"<{0}>([^<]{{0,4096}})</{0}>"
_CODE, _MESSAGE, _REGION = (re.compile(_ELEMENT.format(name)) for name in ("Code", "Message", "Region"))
_LONG_MESSAGE = re.compile(r"<Message>([^<]{0,200000})")
_DETAIL = re.compile(r"<AuthenticationErrorDetail>([^<]{0,4096})")
_REQUEST = re.compile(r"\sRequestId:\S{0,100}\s{1,8}Time:\S{0,100}\s{0,8}$")
"""What Azure adds to each message."""
_DOCUMENT = re.compile(r"(?:<\?xml[^>]{0,200}\?>)?\s*<Error\b", re.IGNORECASE)

_PAGE_CHARACTERS = 16_000
_PAGE = re.compile(r"(?:<!doctype html|<html|<head|<title|<body)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,400})", re.IGNORECASE)
_UNSEEN = re.compile(r"<(script|style|head)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]{0,1000}>?")


def page_words(text: str) -> str:
    """Return the title of an HTML page; without title, return the text without tags."""
    text = text[:_PAGE_CHARACTERS]
    title = _TITLE.search(text)
    return title[1] if title else _TAG.sub(" ", _UNSEEN.sub(" ", text))


def answered(status: int, body: str) -> Failure:
    """Return the failure for an error response."""
    body = body[:LONGEST_BODY].lstrip("\ufeff \t\r\n")
    if _DOCUMENT.match(body):
        code = _text(_CODE, body)
        message = _REQUEST.sub("", _text(_LONG_MESSAGE, body)).strip()
        if detail := _text(_DETAIL, body).strip():
            message = f"{message} {detail}"
        return Failure(
            Kind.ANSWER,
            status=status,
            code=code,
            text="" if message in ("Unknown", "None", code) else message,
            page="" if code else page_words(body),
            region=_text(_REGION, body),
        )
    return Failure(
        Kind.ANSWER, status=status, code=str(status), page=page_words(body), is_page=_PAGE.match(body) is not None
    )


def _text(pattern: re.Pattern[str], body: str) -> str:
    from html import unescape

    found = pattern.search(body)
    return unescape(found[1]) if found else ""


def failure_of(error: BaseException, endpoint: str) -> Failure:
    """Return the failure for an exception of obstore.

    Its text has two parts: a sentence that ends in the body of the response, and the debug output of the structures
    behind it, in which every text is escaped. So whatever a body contains, the debug output begins at its last heading.

    Args:
        endpoint: URL that is called; a request to another one was for credentials.
    """
    shown, _, details = str(error).rpartition(_DEBUG)
    if not shown:
        return Failure(Kind.SETTINGS, one_line(details))
    uri = _URI.search(details)
    if found := _CREDENTIALS.search(details):
        return _without_login(found[1], shown, uri[1] if uri else "", _STATUS.search(details))
    if uri and not _same_host(uri[1], endpoint):
        return Failure(Kind.CREDENTIALS, "no credentials found")
    if found := _DELETE.search(details):
        return Failure(Kind.ANSWER, status=int(found[1]), code=found[1], text=one_line(_unescaped(found[2])))
    if status := _STATUS.search(details):
        _, _, answer = shown.partition(f"Server returned non-2xx status code: {status[1]}")
        return answered(int(status[1]), answer.partition(": ")[2])
    if _REDIRECT.search(details):
        return Failure(Kind.ANSWER, status=301, code="301")
    if found := _HTTP.search(details):
        return _transport(found[1], details)
    if _BEYOND.search(details):  # Azure's emulator answers it with status 206
        return Failure(Kind.ANSWER, status=416, code="InvalidRange")
    return Failure(Kind.FOREIGN, OTHER_RANGE if any(sign in details for sign in _WRONG_RANGE) else "")


def _same_host(uri: str, endpoint: str) -> bool:
    host, base = (url.partition("://")[2].partition("/")[0].rpartition("@")[2].lower() for url in (uri, endpoint))
    return host == base or host.endswith(f".{base}")


def _transport(kind: str, details: str) -> Failure:
    # In an open connection, an alert means that bytes were changed in transit.
    if kind == "Connect" and (found := _CLIENT.search(details)):
        inner = _TLS_DETAIL.findall(details[found.end() :])
        return Failure(Kind.TLS, " ".join([found[1], *inner[-1:]]), code=found[1])
    messages = _OS.findall(details)
    reason = one_line(_unescaped(messages[-1])) if messages else ""
    if kind == "Timeout" or "TimedOut" in details:
        return Failure(Kind.SILENCE, "timed out")
    if _TUNNEL.search(details):
        return Failure(Kind.PROXY, reason or "the proxy refused the connection")
    if kind == "Connect":
        return Failure(Kind.UNREACHABLE, reason.removeprefix("failed to lookup address information: ") or "no route")
    if "Parse(" in details:
        return Failure(Kind.FOREIGN)
    if "IncompleteMessage" in details or "IncompleteBody" in details:
        return Failure(Kind.LOST, reason or "the server closed the connection before the end of the response")
    return Failure(Kind.LOST, reason or "the connection broke")


def _without_login(source: str, shown: str, uri: str, status: re.Match[str] | None) -> Failure:
    """Return the failure for a token that was not given: by a program, a login server, or the machine's own service."""
    if source != "TokenRequest":
        reason = one_line(shown.partition(" error: ")[2].partition("\n")[0])
        return Failure(Kind.CREDENTIALS, f"no credentials found: {reason}")
    host = uri.partition("://")[2].partition("/")[0]
    if not host or host.startswith(("169.254.", "metadata")):
        return Failure(Kind.CREDENTIALS, "no credentials found")
    return Failure(Kind.CREDENTIALS, f"the login at {host} failed{f' (HTTP {status[1]})' if status else ''}")


OTHER_RANGE = " (it returned another byte range than requested)"


def _unescaped(quoted: str) -> str:
    """Return a text that Rust printed for debugging."""
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])


def one_line(text: str) -> str:
    """Return the first lines of a text as one line."""
    return " ".join(text[:1000].split()).strip("'\").")

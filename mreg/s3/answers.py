"""HTTP responses of a store: a limit on their size in memory, and the text of HTML error pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ConnectionClosedError, HTTPClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from urllib3 import exceptions as http

LONGEST_REFUSAL = 256 << 10
"""Maximum number of bytes that are read of an error response. S3's have a few hundred."""

LONGEST_ANSWER = 6 << 20
"""Maximum number of bytes of a response that is not an object. A list of 1,000 keys of maximum length has about 4 MiB.

XML with many small elements takes 25 times as much memory once it is parsed.
"""

_PIECE = 64 << 10
_DIGITS = 20

UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""Exceptions that botocore raises, besides its own, for a response with a missing or malformed field."""
_PAGE_CHARACTERS = 16_000
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,400})", re.IGNORECASE)
_UNSEEN = re.compile(r"<(script|style|head)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]{0,1000}>?")


def send(session: Any, request: Any, longest: int | None = None) -> Any:
    """Send a prepared request and return the response, with its content in memory unless it is an object.

    An error response that is too long is truncated.

    Args:
        session: botocore's HTTP session.
        longest: Maximum number of bytes of a successful response (default: `LONGEST_ANSWER`).

    Raises:
        ResponseParserError: A successful response is longer.
        BotoCoreError: The connection broke.
    """
    is_stream = request.stream_output
    request.stream_output = True  # stops botocore from reading the whole response
    answer = session.send(request)
    refused = answer.status_code >= 300
    if is_stream and not refused:
        return answer
    limit = LONGEST_REFUSAL if refused else (longest or LONGEST_ANSWER)
    if not refused and request.method != "HEAD" and (announced_length(answer) or 0) > limit:
        answer.raw.close()
        raise ResponseParserError(f"the response is longer than {limit} bytes")
    pieces: list[bytes] = []
    count = 0
    try:
        for piece in answer.raw.stream(_PIECE):
            count += len(piece)
            pieces.append(piece)
            if count > limit:
                answer.raw.close()
                break
    except http.ReadTimeoutError as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
    except http.ProtocolError as error:
        raise ConnectionClosedError(endpoint_url=request.url, error=error, request=request) from error
    except http.HTTPError as error:
        raise HTTPClientError(error=error) from error
    if count > limit and not refused:
        raise ResponseParserError(f"the response is longer than {limit} bytes")
    answer._content = b"".join(pieces)[:limit]
    return answer


def announced_length(answer: Any) -> int | None:
    """Return the content length that a response announces, in bytes; None if it is missing or not a number."""
    text = str(answer.headers.get("content-length") or "")
    return int(text) if text.isdecimal() and len(text) < _DIGITS else None


def begins_at(start: int, status: int, headers: Any) -> bool:
    """Return whether the response to a range request begins at its offset; a proxy can drop the header ``Range``."""
    content_range = str(headers.get("content-range") or "")
    return (status == 206 or not start) and (
        status != 206 or not content_range or content_range.startswith(f"bytes {start}-")
    )


class Fields(dict[str, Any]):
    """The fields of a response. Reading a missing field raises an error, since every S3 store sends it.

    Args:
        fields: Fields by name; nested dictionaries become `Fields` as well.
        error: Returns the error for a missing field.
    """

    def __init__(self, fields: dict[str, Any], error: Callable[[], Exception]) -> None:
        super().__init__((name, _with_fields(value, error)) for name, value in fields.items())
        self._error = error

    def __missing__(self, name: str) -> Any:
        raise self._error()


def _with_fields(value: Any, error: Callable[[], Exception]) -> Any:
    if isinstance(value, dict):
        return Fields(value, error)
    return [_with_fields(item, error) for item in value] if isinstance(value, list) else value


def watch(client: Any) -> None:
    """Make a botocore client use `send` and keep the text of error pages as ``ResponseMetadata["Page"]``."""
    session = client._endpoint.http_session
    events = client.meta.events
    events.register_last("before-send.s3", lambda request, **_: send(session, request))
    events.register_last("response-received.s3", _keep_page)


def _keep_page(response_dict: Any = None, parsed_response: Any = None, **_: object) -> None:
    if not parsed_response or "Error" not in parsed_response:
        return
    code = str(parsed_response["Error"].get("Code") or "")
    body = (response_dict or {}).get("body")
    if isinstance(body, bytes) and (not code or code.isdecimal()):
        parsed_response.setdefault("ResponseMetadata", {})["Page"] = page_words(body)


def page_words(body: bytes) -> str:
    """Return the title of an HTML page; without title, return the text without tags."""
    text = body[:_PAGE_CHARACTERS].decode("utf-8", errors="replace")
    title = _TITLE.search(text)
    return title[1] if title else _TAG.sub(" ", _UNSEEN.sub(" ", text))

"""Hints for HTTP clients: requests instead of commands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from mreg.domain.model import ModelStage
from mreg.domain.text import PROGRAMS
from mreg.wire.errors import FOR_CLIENTS, OPERATOR, operator_hint

Options = Mapping[str, str]

_VALUE = r"(?:\"[^\"]*\"|'[^']*'|[^\s,;]+)"
_OPTIONS = (
    r"(?P<options>(?: --(?:at|direction|limit|metric|model|name|override|primary-metric|reason|remove|stage|to)"
    rf" {_VALUE}| --(?:force|withdraw|yes))*)"
)
_OPTION = re.compile(rf"(?<![\w-])--(?P<option>[a-z-]+)(?: (?P<value>(?!--|and\b){_VALUE}))?")
_TARGET = r"(?P<model>[A-Za-z0-9][A-Za-z0-9._/-]*)(?:@(?P<selector>[^\s,;]+))?"


def _path(model: str, selector: str = "", rest: str = "") -> str:
    version = f"/versions/{quote(selector, safe='~:')}" if selector else ""
    return f"/models/{quote(model, safe='')}{version}{rest}"


def _query(**values: str) -> str:
    given = "&".join(f"{name}={quote(value, safe=':')}" for name, value in values.items() if value)
    return f"?{given}" if given else ""


def _body(**values: str) -> str:
    given = {name: value for name, value in values.items() if value}
    return f" {json.dumps(given, ensure_ascii=False)}" if given else ""


def _stage(options: Options) -> str:
    wanted = options.get("to", "")
    return next((stage.value for stage in ModelStage if stage.value.lower() == wanted.lower()), wanted)


def _selected(options: Options, *names: str) -> dict[str, str]:
    return {name: options.get(name, "") for name in names}


def _show(model: str, selector: str, _more: str, _options: Options) -> str:
    return f"GET {_path(model, selector)}"


def _history(model: str, selector: str, _more: str, options: Options) -> str:
    if "at" in options:
        return f"GET {_path(model, '', '/stages')}{_query(at=options['at'])}"
    path = _path(model, selector, "/history") if model else "/history"
    return f"GET {path}{_query(limit=options.get('limit', ''))}"


def _promote(model: str, selector: str, _more: str, options: Options) -> str:
    body = _body(stage=_stage(options), **_selected(options, "override"))
    return f"POST {_path(model, selector, '/transition')}{body}"


def _archive(model: str, selector: str, _more: str, options: Options) -> str:
    body = _body(stage=ModelStage.ARCHIVED.value, **_selected(options, "override"))
    return f"POST {_path(model, selector, '/transition')}{body}"


def _approve(model: str, selector: str, _more: str, options: Options) -> str:
    return f"POST {_path(model, selector, '/approve')}{_body(stage=_stage(options))}"


def _reject(model: str, selector: str, _more: str, options: Options) -> str:
    if "withdraw" in options:
        return f"DELETE {_path(model, selector, '/decision')}{_query(stage=_stage(options))}"
    return f"POST {_path(model, selector, '/reject')}{_body(stage=_stage(options), **_selected(options, 'reason'))}"


def _alias(model: str, selector: str, more: str, options: Options) -> str:
    if "remove" in options:
        path = _path(model, "", f"/aliases/{quote(options['remove'], safe='')}")
        return f"DELETE {path}{_query(**_selected(options, 'override'))}"
    body = _body(version=selector, **_selected(options, "override"))
    return f"PUT {_path(model, '', f'/aliases/{quote(more, safe=chr(0))}')}{body}"


def _delete(model: str, selector: str, _more: str, options: Options) -> str:
    force = "true" if "force" in options else ""
    return f"DELETE {_path(model, selector)}{_query(force=force, **_selected(options, 'override'))}"


def _rename(model: str, _selector: str, more: str, options: Options) -> str:
    return f"POST {_path(model, '', '/rename')}{_body(name=more, **_selected(options, 'override'))}"


def _edit(model: str, selector: str, _more: str, options: Options) -> str:
    metric, _, direction = options.get("direction", "").partition("=")
    body: dict[str, object] = {"directions": {metric: direction}} if metric else {}
    if "primary-metric" in options:
        body["primary_metric"] = options["primary-metric"]
    return f"PATCH {_path(model, selector)}{f' {json.dumps(body, ensure_ascii=False)}' if body else ''}"


def _evaluate(model: str, selector: str, _more: str, options: Options) -> str:
    metric, _, number = options.get("metric", "").partition("=")
    return f"POST {_path(model, selector, '/evaluations')}" + (
        f' {{"metrics": {{"{metric}": {number}}}}}' if metric else ""
    )


def _push(_model: str, _selector: str, _more: str, options: Options) -> str:
    stage = f" and stage={_stage({'to': options['stage']})}" if "stage" in options else ""
    return f"POST {_path(options.get('name', ''), '', '/versions')} with model_file{stage}"


def _rollback(model: str, _selector: str, _more: str, options: Options) -> str:
    stage = _stage({"to": options.get("stage", "")})
    return f"POST {_path(model, '', '/rollback')}{_body(stage=stage, **_selected(options, 'to'))}"


def _policy(_model: str, _selector: str, more: str, options: Options) -> str:
    method = {"apply FILE": "PUT", "remove": "DELETE"}.get(more, "GET")
    return f"{method} {_path(options['model'], '', '/policy') if 'model' in options else '/policy'}"


def _tag(model: str, selector: str, more: str, _options: Options) -> str:
    key, _, value = more.partition("=")
    return f"PUT {_path(model, selector, f'/tags/{quote(key, safe=str())}')}{_body(value=value)}"


def _read(rest: str) -> Callable[[str, str, str, Options], str]:
    return lambda model, selector, _more, _options: f"GET {_path(model, selector, rest)}"


REQUESTS: dict[str, tuple[str, Callable[[str, str, str, Options], str]]] = {
    "list": ("", lambda *_: "GET /models"),
    "approvals": ("", lambda *_: "GET /approvals"),
    "audit": (" verify", lambda *_: "GET /audit"),
    "show": (f" {_TARGET}", _show),
    "history": (rf"(?: (?!--){_TARGET})?", _history),
    "lineage": (f" {_TARGET}", _read("/lineage")),
    "why": (f" {_TARGET}", _read("/why")),
    "verify": (f" {_TARGET}", lambda model, selector, *_: f"POST {_path(model, selector, '/verify')}"),
    "deploy": (f" {_TARGET}", lambda model, selector, *_: f"POST {_path(model, selector, '/deploy')}"),
    "promote": (f" {_TARGET}", _promote),
    "rollback": (f" {_TARGET}", _rollback),
    "archive": (f" {_TARGET}", _archive),
    "approve": (f" {_TARGET}", _approve),
    "reject": (f" {_TARGET}", _reject),
    "alias": (rf" {_TARGET}(?: (?P<more>(?!--)[^\s,;]+))?", _alias),
    "delete": (f" {_TARGET}", _delete),
    "register": (f" {_TARGET}", lambda model, *_: f'POST /models {{"name": {json.dumps(model)}}}'),
    "rename": (rf" {_TARGET} (?P<more>[^\s,;]+)", _rename),
    "edit": (f" {_TARGET}", _edit),
    "evaluate": (f" {_TARGET}", _evaluate),
    "push": (" PATH", _push),
    "policy": (" (?P<more>show|apply FILE|remove)", _policy),
    "tag": (rf" {_TARGET} (?P<more>[^\s,;]+)(?:, or --remove [^\s,;]+)?", _tag),
    "token": (" list", lambda *_: "GET /tokens"),
}
"""The arguments of each command in hints, and the function that returns the equivalent request."""

_COMMANDS = {name: re.compile(rf"mreg {name}{words}{_OPTIONS}") for name, (words, _) in REQUESTS.items()}

MAPPINGS = {"metric": "metrics", "param": "parameters", "tag": "tags", "data": "data"}
"""Options that take ``NAME=VALUE``, and the fields that take an object instead."""

QUERY = ("force", "limit")
"""Options that are query parameters; the others are fields of the body."""

_SHELL = re.compile(rf"\bmreg [a-z]|(?:^|: |; |, or )(?:{PROGRAMS}) ", re.MULTILINE)
"""Commands that are left after the translation."""

_REQUEST_PATH = re.compile(r"((?<![^\s(])(?:DELETE|GET|PATCH|POST|PUT) )(/[a-z])")


def http_hint(hint: str, *, server_failed: bool = False, prefix: str = "") -> str:
    """Return the hint with commands replaced by requests and options by fields.

    A hint that still has a command is addressed to the operator of the server.

    Args:
        server_failed: Whether only the operator can fix the error, unless the hint says to repeat or limit the request.
        prefix: Prefix of the paths of requests.
    """
    translated = _translated(hint, server_failed=server_failed)
    return _REQUEST_PATH.sub(rf"\1{prefix}\2", translated) if prefix else translated


def _translated(hint: str, *, server_failed: bool) -> str:
    if not hint or hint.startswith(OPERATOR):
        return hint
    if server_failed and not hint.startswith(FOR_CLIENTS):
        return operator_hint(hint)
    for name, pattern in _COMMANDS.items():
        if f"mreg {name}" in hint:
            hint = pattern.sub(lambda match, name=name: _request(name, match), hint)  # type: ignore[misc]
    if _SHELL.search(hint):
        return f"{OPERATOR}{hint}"
    return _OPTION.sub(_field, hint).replace(" && ", ", then ")


def command_hint(hint: str, *, server_failed: bool = False) -> str:
    """Return the hint for a user of mreg's command line on another machine.

    Args:
        server_failed: Whether only the operator can fix the error, unless the hint says to repeat or limit the request.
    """
    return operator_hint(hint) if server_failed else hint


def _request(name: str, match: re.Match[str]) -> str:
    words = match.groupdict(default="")
    options = {option["option"]: (option["value"] or "").strip("\"'") for option in _OPTION.finditer(words["options"])}
    return REQUESTS[name][1](words.get("model", ""), words.get("selector", ""), words.get("more", ""), options)


def _field(match: re.Match[str]) -> str:
    option, value = match["option"], (match["value"] or "").strip("\"'")
    if option in QUERY:
        return f"?{option}={value or 'true'}"
    if option in MAPPINGS:
        name, _, item = value.partition("=")
        return f'{MAPPINGS[option]}: {{"{name}": {item if option == "metric" else json.dumps(item)}}}'
    return f"{json.dumps(option)}: {json.dumps(value) if match['value'] else 'true'}"

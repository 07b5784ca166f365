"""MLflow's filters, orders and pages, applied with MLflow's own functions to what the registry returns.

No part of a filter reaches the catalog, so a filter cannot contain anything but a filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.prompt.registry_utils import add_prompt_filter_string
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.search_utils import SearchModelUtils, SearchModelVersionUtils, SearchUtils
from sqlparse.exceptions import SQLParseError

from mreg.mlflow.failures import invalid

_UNREADABLE = (
    SQLParseError,
    ValueError,
    OverflowError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
)
"""Errors of MLflow's parsers, which do not expect every text."""

LONGEST = 20_000
"""Maximum length of a filter in characters: the parser needs time that is quadratic in it."""

DEFAULT_ORDER = ("last_updated_timestamp DESC", "name ASC", "version_number DESC")


def check_max_results(max_results: object, limit: int) -> int:
    """Return the size of a page if MLflow allows it.

    Raises:
        MlflowException: It is not a positive integer, or exceeds the limit.
    """
    if not isinstance(max_results, int) or max_results < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {max_results}")
    if max_results > limit:
        raise invalid(
            f"Invalid value for request parameter max_results. It must be at most {limit}, but got value {max_results}"
        )
    return max_results


class Search:
    """A search for models or for versions.

    Args:
        utils: MLflow's `SearchModelUtils` or `SearchModelVersionUtils`.
        filter_string: MLflow's filter; prompts are left out unless it asks for them.
        order_by: MLflow's order.

    Raises:
        MlflowException: The filter is invalid.
    """

    def __init__(self, utils: Any, filter_string: str | None, order_by: Sequence[str] | None) -> None:
        if filter_string and len(filter_string) > LONGEST:
            raise invalid(f"Invalid filter: it has {len(filter_string)} characters; the limit is {LONGEST}")
        self._utils = utils
        self._filter = add_prompt_filter_string(filter_string, is_prompt=False)
        self._order_by = order_by
        self._clauses = _readable(f"filter '{filter_string}'", lambda: utils.parse_search_filter(self._filter))

    @property
    def name(self) -> str | None:
        """The only name that can match; None if there can be several."""
        for clause in self._clauses:
            if (clause.get("type"), clause.get("key"), clause.get("comparator")) == ("attribute", "name", "="):
                return str(clause["value"])
        return None

    def page(self, entities: Sequence[Any], max_results: int, page_token: str | bytes | None) -> PagedList:
        """Return a page of the entities that match.

        Raises:
            MlflowException: The filter, the order or the token is invalid.
        """
        found = _readable("filter", lambda: self._utils.filter(entities, self._filter))
        ordered = _readable("order_by", lambda: self._utils.sort(found, self._order_by))
        start = _offset(page_token)
        end = start + max_results
        return PagedList(ordered[start:end], SearchUtils.create_page_token(end) if end < len(ordered) else None)


def model_search(filter_string: str | None, order_by: Sequence[str] | None) -> Search:
    """Return a search for models."""
    return Search(SearchModelUtils, filter_string, order_by)


def version_search(filter_string: str | None, order_by: Sequence[str] | None) -> Search:
    """Return a search for versions."""
    return Search(SearchModelVersionUtils, filter_string, order_by or DEFAULT_ORDER)


def _offset(page_token: str | bytes | None) -> int:
    offset: int = _readable("page token", lambda: SearchUtils.parse_start_offset_from_page_token(page_token))
    if offset < 0:
        raise invalid("Invalid page token: its offset is negative")
    return offset


def _readable(what: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except MlflowException:
        raise
    except _UNREADABLE as error:
        raise invalid(f"Invalid {what}: {error}") from error

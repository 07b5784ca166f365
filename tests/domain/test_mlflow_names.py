import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mreg.domain.mlflow_names import (
    from_mlflow_alias,
    from_mlflow_name,
    original_name,
    prompt_text,
    source_text,
    stored_prompt_tags,
    to_mlflow_alias,
    to_mlflow_name,
)
from mreg.domain.names import ModelName, VersionRef
from mreg.errors import BadInput

PAIRS = {
    "churn": "churn",
    "Churn model": "Churn_x20_model",
    "_churn": "x5F_churn",
    " churn ": "x20_churn_x20_",
    "a_x20_b": "a_x5F_x20_b",
    "x20_b": "x78_20_b",
    "x20": "x20",
    "team%2Fchurn": "team/churn",
    "a%2F%2Fb": "a/_x25_2Fb",
    "%2Fa": "x25_2Fa",
    "a%2F": "a_x25_2F",
    "a%2Fb%2F..": "a/b/_x2E_.",
    "a%2fb": "a_x25_2fb",
    "_x20 ": "x5F_x20_x20_",
    "a_x20 ": "a_x5F_x20_x20_",
    "Prüfung": "Pr_xFC_fung",
    "模型": "x6A21__x578B_",
    "%a_x61_b": "a_x61_b",
    "50%": "50_x25_",
    "a\u00a0b": "a_xA0_b",
    "🚀": "x1F680_",
    "..a": "x2E_.a",
    "it's; DROP TABLE models--": "it_x27_s_x3B__x20_DROP_x20_TABLE_x20_models--",
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_name_of_mlflow_has_one_name_in_mreg(name: str) -> None:
    assert str(from_mlflow_name(name)) == PAIRS[name]
    assert to_mlflow_name(ModelName(PAIRS[name])) == name


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", ".", "..", "a\nb", "a\x1b[2J", "a\u202eb", "\ud800", "a\0b"])
def test_a_name_that_mlflow_or_a_terminal_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="invalid name"):
        from_mlflow_name(name)


def test_a_name_that_is_too_long_when_escaped_is_refused() -> None:
    assert len(str(from_mlflow_name("a" * 128))) == 128
    with pytest.raises(BadInput) as caught:
        from_mlflow_name("é" * 30)
    assert caught.value.message == (
        "the name 'éééééééééééééééééééééééééééééé' is too long: "
        f"'{'xE9_' + '_xE9_' * 11 + '_...' + '9__xE9__xE9__xE9_'}' has 149 characters; the limit is 128"
    )
    with pytest.raises(BadInput, match="has 100000 characters; the limit is 128"):
        from_mlflow_name("a" * 100_000)


@pytest.mark.parametrize("name", ["churn", "team/churn", "a_x61_b", "x20"])
def test_a_name_without_escapes_has_no_original(name: str) -> None:
    assert original_name(ModelName(name)) == ""


def test_a_name_with_escapes_has_an_original() -> None:
    assert original_name(ModelName("team/Churn_x20_model")) == "team%2FChurn model"


TEXTS = st.text(st.one_of(st.sampled_from("ax_%2FE0.-/ é"), st.characters()), min_size=1, max_size=20)


@given(st.one_of(TEXTS, st.lists(st.sampled_from(["%2F", "_x20_", "x20_", "_", "%", "..", " "])).map("".join)))
@example("%%2F_x20_")
@example("%a%2F_x61_")
def test_every_name_of_mlflow_comes_back(name: str) -> None:
    try:
        found = from_mlflow_name(name)
    except BadInput:
        return
    assert to_mlflow_name(found) == name


NAMES = st.from_regex(r"[A-Za-z0-9x](?:_x[0-9A-F]{1,7}_|[A-Za-z0-9._-]|x[0-9]{2}_|/[A-Za-z0-9_-])*", fullmatch=True)


@given(NAMES)
@example("x2E_.")
@example("a_xD800_b")
@example("a_x1B_")
@example("a_xFFFFFF_")
@example("a_x2F_b")
@example("x25_a_x5F_x61_b")
def test_every_name_of_mreg_has_its_own_name_in_mlflow(name: str) -> None:
    try:
        known = ModelName(name)
    except BadInput:
        return
    shown = to_mlflow_name(known)
    assert "/" not in shown and ":" not in shown and shown.strip()
    assert from_mlflow_name(shown) == known
    assert all(char.isprintable() or char.isspace() for char in shown) and "\x1b" not in shown


def test_an_alias_is_mapped_in_the_same_way() -> None:
    pairs = {"champion": "champion", "_new": "x5F_new", "2026": "x32_026", "été": "xE9_t_xE9_", "a-b_c": "a-b_c"}
    for alias, mapped in pairs.items():
        assert from_mlflow_alias(alias) == mapped
        assert to_mlflow_alias(mapped) == alias
    assert to_mlflow_alias("a.b") == "a.b"


@pytest.mark.parametrize(
    "alias", ["production", "Staging", "none", "ARCHIVED", "best", "latest", "v", "v3", "", "x" * 65]
)
def test_an_alias_with_another_meaning_in_mreg_is_refused(alias: str) -> None:
    with pytest.raises(BadInput, match="alias"):
        from_mlflow_alias(alias)


@given(st.from_regex(re.compile(r"[\w-]{1,20}"), fullmatch=True))
def test_every_alias_of_mlflow_comes_back(alias: str) -> None:
    try:
        found = from_mlflow_alias(alias)
    except BadInput:
        return
    assert to_mlflow_alias(found) == alias


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("models:/Churn model/3", "Churn_x20_model@3"),
        ("models:/team%2Fchurn@champion", "team/churn@champion"),
        ("models:/team/churn/3", "team/churn@3"),
        ("models:/a_x61_b/3", "a_x61_b@3"),
    ],
)
def test_a_uri_of_mlflow_is_a_reference(uri: str, name: str) -> None:
    assert str(VersionRef.parse(uri)) == name


@pytest.mark.parametrize(
    ("source", "stored"),
    [
        ("https://me:secret@host/a?X-Amz-Signature=1#b", "https://host/a"),
        ("ftp://me:secret@host", "ftp://host"),
        ("s3://bucket/a?versionId=3", "s3://bucket/a"),
        ("models://scope:prefix@databricks/churn/3", "models://scope:prefix@databricks/churn/3"),
        ("mreg://churn@3?profile=team", "mreg://churn@3?profile=team"),
        ("abfss://container@account.dfs.core.windows.net/a", "abfss://container@account.dfs.core.windows.net/a"),
        ("models:/m-12", "models:/m-12"),
        ("/srv/model", "/srv/model"),
        ("file:///etc/passwd", "file:///etc/passwd"),
    ],
)
def test_a_source_is_stored_without_credentials(source: str, stored: str) -> None:
    assert source_text(source) == stored


def test_the_text_of_a_prompt_is_its_artifact_and_a_tag_if_it_fits() -> None:
    tags = {"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": "Hello {{name}}"}
    assert prompt_text(tags) == ("prompt.txt", "Hello {{name}}")
    assert prompt_text({**tags, "_mlflow_prompt_type": "chat"}) == ("prompt.json", "Hello {{name}}")
    assert stored_prompt_tags(tags) == tags
    assert stored_prompt_tags({**tags, "mlflow.prompt.text": "a" * 5_001}) == {"mlflow.prompt.is_prompt": "true"}

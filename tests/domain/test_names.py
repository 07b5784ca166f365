import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
from mreg.domain.names import (
    LARGEST_BACK,
    LARGEST_VERSION,
    KnownVersion,
    ModelName,
    Selector,
    SelectorKind,
    VersionRef,
    check_alias,
    selector_alone,
    spelled,
)
from mreg.errors import BadInput

PART = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True).filter(lambda part: part not in (".", ".."))
NAMES = st.builds(
    lambda first, rest: ModelName("/".join([first, *rest])),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True),
    st.lists(PART, max_size=3),
)


def _is_alias(text: str) -> bool:
    try:
        return bool(check_alias(text))
    except BadInput:
        return False


ALIASES = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(_is_alias)
BASES = st.one_of(
    st.builds(lambda n: Selector(SelectorKind.NUMBER, str(n)), st.integers(1, 2**31 - 1)),
    st.just(Selector(SelectorKind.LATEST)),
    st.just(Selector(SelectorKind.BEST)),
    st.sampled_from(["none", "staging", "production", "archived"]).map(lambda s: Selector(SelectorKind.STAGE, s)),
    ALIASES.map(lambda alias: Selector(SelectorKind.ALIAS, alias)),
    st.text("0123456789abcdef", min_size=8, max_size=64).map(lambda h: Selector(SelectorKind.DIGEST, f"sha256:{h}")),
)
SELECTORS = st.builds(lambda base, back: Selector(base.kind, base.value, back), BASES, st.integers(0, 1000))
REFERENCES = st.builds(VersionRef, NAMES, st.none() | SELECTORS)


@given(REFERENCES)
def test_a_reference_is_what_its_text_means(reference: VersionRef) -> None:
    assert VersionRef.parse(str(reference)) == reference


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_bad_input(text: str) -> None:
    try:
        reference = VersionRef.parse(text)
    except BadInput as error:
        assert error.message.isprintable()
    else:
        assert VersionRef.parse(str(reference)) == reference


HOSTILE = [
    "", " ", "  ", "a" * 129, "..", "a/../b", "/etc/passwd", "C:\\x", "a\\b", "a//b", "-rf", "@", "a@", "a@@1", "a@0",
    "a@-1", "a@1.5", "a@v", "a@01", "a@99999999999999999999", "a@production~0", "a@~1", "a\0", "a\n", "a\t", "a\x1b[2J",
    "a\u202eb", "a\u200b", "[red]x[/red]", "%2e%2e", "%252e", "a;b", "a#b", "$(id)", "`id`", "a\udcff", "a@b\n", "a@é",
    "a/", "a/.", "./a", "a@v0", "a@v01", "a@sha256:abc", "a@sha256:zzzzzzzz", "a@1~", "a@1~-1", "a@1~1~1",
    "models:/", "models:/a", "models:/a/", "models:/../3", "a:", "a:0", "é", "a b", "a@production ", "a@ 3",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_reference_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        VersionRef.parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("classifier", "classifier"),
        ("classifier@3", "classifier@3"),
        ("classifier@v3", "classifier@3"),
        ("classifier@V3", "classifier@3"),
        ("classifier:3", "classifier@3"),
        ("classifier:production", "classifier@production"),
        ("models:/classifier/3", "classifier@3"),
        ("models:/classifier/Production", "classifier@production"),
        ("models:/classifier@champion", "classifier@champion"),
        ("classifier@PRODUCTION~2", "classifier@production~2"),
        ("classifier@Latest", "classifier@latest"),
        ("classifier@SHA256:ABCDEF01", "classifier@sha256:abcdef01"),
        ("team/classifier@best", "team/classifier@best"),
        ("CON", "CON"),
        ("a" * 128, "a" * 128),
    ],
)
def test_other_ways_to_write_a_reference_are_understood(text: str, meant: str) -> None:
    assert str(VersionRef.parse(text)) == meant


def test_names_that_differ_in_case_alone_are_two_models() -> None:
    assert ModelName("Classifier") != ModelName("classifier")


@pytest.mark.parametrize(
    "alias", ["latest", "v3", "V3", "v", "7", "best", "production", "Staging", "NONE", "champ\n", "", "3a", "a" * 65]
)
def test_what_already_means_something_is_no_alias(alias: str) -> None:
    with pytest.raises(BadInput):
        check_alias(alias)


def test_the_last_part_of_a_name_may_be_a_selector() -> None:
    assert VersionRef.parse("classifier/3").split_last_part() == VersionRef.parse("classifier@3")
    assert VersionRef.parse("classifier").split_last_part() is None
    assert VersionRef.parse("a/b@3").split_last_part() is None


def test_a_bad_name_says_what_is_good() -> None:
    with pytest.raises(BadInput) as caught:
        ModelName("a//b")
    assert caught.value.message == "invalid model name 'a//b'"
    assert (
        caught.value.hint
        == "use letters, digits, '.', '_', '-' and '/' between parts, beginning with a letter or digit"
    )


NAME_HINT = "use letters, digits, '.', '_', '-' and '/' between parts, beginning with a letter or digit"
DIGEST_HINT = "write sha256: and at least the first 8 digits, such as sha256:964c3755"
SELECTOR_HINT = "use a number, latest, best, a stage, an alias or sha256:DIGEST; append ~N to go N versions back"
REFERENCE_HINT = "write name, name@3, name@production, name@latest, name@ALIAS or name@sha256:DIGEST"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "the model name is empty", "name the model, such as churn or team/churn"),
        (" ", "invalid model name ' '", NAME_HINT),
        ("a" * 129, f"the model name '{'a' * 60}...{'a' * 17}' has 129 characters; the limit is 128", ""),
        ("a/../b", "invalid model name 'a/../b'", NAME_HINT),
        ("-rf", "invalid model name '-rf'", NAME_HINT),
        ("$(id)", "invalid model name '$(id)'", NAME_HINT),
        ("[red]x[/red]", "invalid model name '[red]x[/red]'", NAME_HINT),
        ("a\x1b[2J", "invalid model name 'a\\x1b[2J'", NAME_HINT),
        ("a\u202eb", "invalid model name 'a\\u202eb'", NAME_HINT),
        ("a\udcff", "invalid model name 'a\\udcff'", NAME_HINT),
        ("C:\\x", "invalid selector '\\x'", SELECTOR_HINT),
        ("@", "invalid reference '@': it has no model name", REFERENCE_HINT),
        ("@3", "invalid reference '@3': it has no model name", REFERENCE_HINT),
        (":3", "invalid reference ':3': it has no model name", REFERENCE_HINT),
        ("a@", "invalid selector ''", SELECTOR_HINT),
        ("a@@1", "invalid selector '@1'", SELECTOR_HINT),
        ("a@0", "invalid selector '0'", SELECTOR_HINT),
        ("a@01", "invalid selector '01'", SELECTOR_HINT),
        ("a@2147483648", "invalid selector '2147483648'", SELECTOR_HINT),
        ("a@99999999999999999999", "invalid selector '99999999999999999999'", SELECTOR_HINT),
        ("a@production~0", "invalid selector 'production~0'", SELECTOR_HINT),
        ("a@1~1000001", "invalid selector '1~1000001'", SELECTOR_HINT),
        ("a@~1", "invalid selector '~1'", SELECTOR_HINT),
        ("a@v", "invalid selector 'v'", SELECTOR_HINT),
        ("a@sha256:12", "invalid selector 'sha256:12': a digest has 8 to 64 hexadecimal digits", DIGEST_HINT),
        ("a@SHA256:", "invalid selector 'SHA256:': a digest has 8 to 64 hexadecimal digits", DIGEST_HINT),
        (
            "a@sha256:xyzxyzxyz",
            "invalid selector 'sha256:xyzxyzxyz': a digest has 8 to 64 hexadecimal digits",
            DIGEST_HINT,
        ),
        ("two~1", "invalid reference 'two~1': ~1 follows a selector", "write two@latest~1 or two@production~1"),
        (
            "team/two~12",
            "invalid reference 'team/two~12': ~12 follows a selector",
            "write team/two@latest~12 or team/two@production~12",
        ),
        ("two~x", "invalid model name 'two~x'", NAME_HINT),
        ("a@champ\n", "invalid selector 'champ\\n'", SELECTOR_HINT),
        ("models:/a", "invalid reference 'models:/a': it has no version", REFERENCE_HINT),
        ("models:/@3", "the model name is empty", "name the model, such as churn or team/churn"),
        ("models:/a@b/3", "invalid selector 'b/3'", SELECTOR_HINT),
    ],
)
def test_a_refused_reference_is_named_with_the_next_step(text: str, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        VersionRef.parse(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("3", "3"), ("v3", "3"), ("V12", "12"), ("3~1", "3~1"), ("@production", "production"), ("@Staging", "staging"),
        ("@champion~2", "champion~2"), ("@3", "3"), ("~1", "latest~1"), ("sha256:964c3755", "sha256:964c3755"),
        ("@sha256:964c3755", "sha256:964c3755"), ("production", None), ("latest", None), ("churn", None), ("churn@3", None),
        ("0", None), ("03", None), ("3a", None), ("", None), ("models:/churn/3", None), ("churn:3", None), ("v", None),
    ],
)  # fmt: skip
def test_a_number_an_at_sign_a_tilde_and_a_digest_name_a_version_without_its_model(
    text: str, selector: str | None
) -> None:
    found = selector_alone(text)
    assert (found and str(found)) == selector


@pytest.mark.parametrize(
    "text", ["@", "@@3", "@~1", "~", "~0", "~x", "3~", "3~0", "2147483648", "sha256:12", "@a b", "@\x1b[2J"]
)
def test_a_selector_alone_that_is_not_valid_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="invalid selector"):
        selector_alone(text)


@given(st.text(max_size=30) | st.from_regex(r"[@~v]?[a-z0-9~:@]{0,20}", fullmatch=True))
def test_any_text_is_a_selector_alone_a_name_or_bad_input(text: str) -> None:
    try:
        found = selector_alone(text)
    except BadInput as error:
        assert error.message.isprintable()
    else:
        assert found is None or Selector.parse(str(found)) == found


@pytest.mark.parametrize("text", ["models:/" * 5_000 + "a@1", "a@" * 5_000, "a/" * 50_000, "a:" * 5_000, "a~" * 5_000])
def test_a_reference_that_repeats_itself_is_refused_at_once(text: str) -> None:
    with pytest.raises(BadInput):
        VersionRef.parse(text)


@pytest.mark.parametrize("device", ["CON", "nul", "PRN.txt", "com1", "LPT9", "aux/model"])
def test_the_devices_of_windows_are_names_as_any_other(device: str) -> None:
    assert str(VersionRef.parse(f"{device}@1")) == f"{device}@1"


@given(st.text(max_size=20) | st.from_regex(r"[A-Za-z0-9/._-]{1,20}\n?", fullmatch=True))
def test_any_text_is_a_model_name_or_bad_input(text: str) -> None:
    try:
        name = ModelName(text)
    except BadInput as error:
        assert error.message.isprintable()
    else:
        assert str(name) == text
        assert text.isascii()
        assert text[0].isalnum()
        assert not {"", ".", ".."}.intersection(text.split("/"))


@given(SELECTORS)
def test_a_selector_is_what_its_text_means(selector: Selector) -> None:
    assert Selector.parse(str(selector)) == selector


@given(SELECTORS.filter(lambda selector: selector.kind is not SelectorKind.ALIAS))
def test_case_means_nothing_but_in_an_alias(selector: Selector) -> None:
    assert Selector.parse(str(selector).upper()) == selector


@given(ALIASES)
def test_an_alias_selects_by_itself_and_by_nothing_else(alias: str) -> None:
    assert Selector.parse(alias) == Selector(SelectorKind.ALIAS, alias)


@given(REFERENCES)
def test_the_other_ways_to_write_a_reference_mean_the_same(reference: VersionRef) -> None:
    if reference.selector is not None:
        assert VersionRef.parse(f"{reference.name}:{reference.selector}") == reference
        assert VersionRef.parse(f"models:/{reference.name}/{reference.selector}") == reference
        assert VersionRef.parse(f"models:/{reference.name}@{reference.selector}") == reference
        slashed = f"{reference.name}/{reference.selector}"
        try:
            bare = VersionRef(ModelName(slashed))
        except BadInput:
            return  # too long, or a selector of characters that no name has
        assert bare.split_last_part() == reference


@pytest.mark.parametrize("alias", ["latest", "Best", "v", "v3", "V0", "7", "production", "Staging", "NONE", "archived"])
def test_an_alias_that_is_taken_says_so(alias: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_alias(alias)
    assert caught.value.message == f"invalid alias '{alias}': it has another meaning in references"


@pytest.mark.parametrize(
    "alias", ["", " ", "champ\n", "3a", "a" * 65, "a@b", "a~1", "a/b", "-a", ".a", "é", "a b", "a:b"]
)
def test_a_text_that_is_no_alias_says_what_is(alias: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_alias(alias)
    assert caught.value.message.startswith("invalid alias ")
    assert caught.value.hint == "use 1 to 64 letters, digits, '.', '_', '-', beginning with a letter"


def test_a_name_and_a_reference_are_shown_as_they_are_written() -> None:
    assert repr(ModelName("team/m")) == "ModelName('team/m')"
    assert repr(VersionRef.parse("m@production~1")) == "<VersionRef m@production~1>"


def test_a_reference_goes_back_a_million_steps_and_no_further() -> None:
    assert VersionRef.parse("a@production~1000000").selector == Selector(SelectorKind.STAGE, "production", 1_000_000)
    assert str(VersionRef.parse("a@3~1000000")) == "a@3~1000000"
    for steps in ("1000001", "9999999", "10000000", "01"):
        with pytest.raises(BadInput, match="invalid selector"):
            VersionRef.parse(f"a@production~{steps}")


def test_the_limits_of_aliases_versions_and_steps_back_are_inclusive() -> None:
    assert check_alias("a" * 64) == "a" * 64
    assert LARGEST_VERSION == 2_147_483_647
    assert Selector.parse(str(LARGEST_VERSION)).value == str(LARGEST_VERSION)
    assert Selector.parse(f"latest~{LARGEST_BACK}").back == LARGEST_BACK
    for beyond in ("a" * 65, str(LARGEST_VERSION + 1), f"latest~{LARGEST_BACK + 1}"):
        with pytest.raises(BadInput):
            Selector.parse(beyond)


@pytest.mark.parametrize(
    ("alias", "known", "expected"),
    [
        ("champion", ["Champion", "champion"], "champion"),
        ("Champion", ["Champion", "champion"], "Champion"),
        ("CHAMPION", ["champion", "Champion"], "Champion"),
        ("CHAMPION", ["champion"], "champion"),
        ("champion", ["challenger"], None),
    ],
)
def test_the_exact_spelling_of_an_alias_comes_first(alias: str, known: list[str], expected: str | None) -> None:
    assert spelled(alias, known) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("a@3", 3),
        ("a@v3", 3),
        ("a", None),
        ("a@3~1", None),
        ("a@latest", None),
        ("a@production", None),
        ("a@champ", None),
    ],
)
def test_a_reference_has_a_number_if_it_names_the_version_by_it(text: str, number: int | None) -> None:
    assert VersionRef.parse(text).number == number


def test_references_to_the_same_version_are_equal_whatever_they_were_made_from() -> None:
    known = KnownVersion(17, Digest.sha256("a" * 64))
    literal = VersionRef(ModelName("a"), Selector.number(3), exact=True, known=known)
    assert literal == VersionRef.parse("a@3")
    assert hash(literal) == hash(VersionRef.parse("a@3"))

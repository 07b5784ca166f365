import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
from mreg.errors import BadInput

DIGESTS = st.binary(max_size=8).map(lambda data: Digest.sha256(hashlib.sha256(data).hexdigest()))


@given(DIGESTS)
def test_a_digest_is_what_its_text_says(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest


@given(st.text(max_size=80) | st.from_regex(r"(sha256|md5|SHA256)?:?[0-9a-fA-F]{60,66}\n?", fullmatch=True))
def test_any_text_is_a_digest_or_bad_input(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except BadInput as error:
        assert error.message.isprintable()
    else:
        assert str(digest) == text


@pytest.mark.parametrize(
    "text",
    ["", "sha256", "sha256:", "sha256:" + "0" * 63, "sha256:" + "0" * 65, "sha256:" + "A" * 64, "md5:" + "0" * 64, "0" * 64,
     "SHA256:" + "0" * 64, "sha256:" + "0" * 64 + "\n", "sha256:" + "٠" * 64, " sha256:" + "0" * 64],
)  # fmt: skip
def test_another_text_is_no_digest(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        Digest.parse(text)
    assert caught.value.message.startswith("invalid digest ")
    assert caught.value.hint == "write sha256: and 64 hexadecimal digits in lower case"

"""Tokens that a person types, by their text or their id."""

import pytest

from core.errors import BadSettingError, OutOfRangeError
from core.models.typed_tokens import typed_token
from tests.doubles.planted import planted_model


def test_a_token_is_found_by_its_text_or_its_id(tmp_path):
    model = planted_model(tmp_path)
    a, space = model.token_strings.index("a"), model.token_strings.index(" ")
    assert typed_token(model, "a") == typed_token(model, f"#{a}") == typed_token(model, f" #{a} ") == a
    assert typed_token(model, " ") == space


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("ab", r"'ab' is no token of planted: it reads it as 2 tokens, 'a', 'b'\. Expected the text of one token"),
        ("abcdefgh", r"it reads it as 8 tokens, 'a', 'b', 'c', 'd', 'e', 'f' …\."),
        ("", r"'' is no token of planted\. Expected"),
    ],
)
def test_text_that_is_no_single_token_is_refused(typed, said, tmp_path):
    with pytest.raises(BadSettingError, match=said):
        typed_token(planted_model(tmp_path), typed)


def test_an_id_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(OutOfRangeError, match="Token #257 does not exist"):
        typed_token(planted_model(tmp_path), "#257")

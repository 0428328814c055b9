"""Sets of features: read from any text, combined, in a link, and kept beside the notes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.dictionaries.feature_lists import FeatureListError
from core.errors import LoupeError, OutOfRangeError, UnknownNameError
from core.selection import store as stores
from core.selection.selection import OtherDictionaryError, Selection, SelectionError, is_of, split_link
from core.selection.store import SelectionStore, title_of

SHA, OTHER, D_SAE = "ab" * 32, "cd" * 32, 40


def made(*features: int, name: str = "", origin: str = "", sha: str = SHA) -> Selection:
    return Selection.of(features, dictionary_sha256=sha, d_sae=D_SAE, name=name, origin=origin)


def read(text: str) -> Selection:
    return Selection.parse(text, dictionary_sha256=SHA, d_sae=D_SAE)


@pytest.fixture
def store(tmp_path) -> SelectionStore:
    return SelectionStore(tmp_path / "notes", SHA, "planted", D_SAE)


@given(st.sets(st.integers(0, D_SAE - 1)))
@settings(deadline=None)
def test_a_list_and_a_link_read_back_as_the_same_features(features):
    selection = made(*features)
    assert selection.features == tuple(sorted(features))
    assert read(selection.text) == selection
    of, listed = split_link(selection.in_link())
    assert is_of(of, SHA)
    assert not is_of(of, OTHER)
    assert read(listed) == selection
    assert selection.mask(D_SAE).nonzero()[0].tolist() == sorted(features)


@given(st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39)))
@settings(deadline=None)
def test_selections_combine_as_sets_do(a, b):
    expected = {"and": a & b, "or": a | b, "minus": a - b}
    for how, features in expected.items():
        assert set(made(*a).combined(how, made(*b)).features) == features


def test_a_combination_says_what_it_was_made_of():
    both = made(1, 2, name="months").combined("minus", made(2, origin="lasso"))
    assert (both.name, both.origin, both.features) == ("", "months minus lasso", (1,))
    with pytest.raises(OtherDictionaryError, match="the dictionary cdcdcdcdcdcd, and the open"):
        made(1).combined("and", made(1, sha=OTHER))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("40", OutOfRangeError, "Feature 40 does not exist: expected a whole number from 0 to 39"),
        ("1-99999999999999999999", FeatureListError, "is no feature"),
        ("7-3", FeatureListError, "runs backwards"),
        ("<img src=x>", FeatureListError, "is no feature"),
        (", ".join(map(str, range(300_000))), SelectionError, "characters is too long; expected at most 500,000"),
    ],
)
def test_a_text_that_is_no_list_is_refused_in_words(text, error, message):
    with pytest.raises(error, match=message) as caught:
        read(text)
    assert isinstance(caught.value, LoupeError)


def test_ranges_that_overlap_ten_thousand_times_are_read_as_one():
    d_sae = 1_000_000
    text = "0-999999," * 10_000
    # Adding up the ranges one by one takes many minutes.
    assert len(Selection.parse(text, dictionary_sha256=SHA, d_sae=d_sae)) == d_sae


def test_names_and_origins_are_clean_and_bounded():
    one = made(1, name=" two\n words\x00", origin="o" * 500)
    assert (one.name, len(one.origin)) == ("two words", 200)
    with pytest.raises(SelectionError, match="A name of 81 characters"):
        one.called("x" * 81)
    with pytest.raises(OutOfRangeError, match="Feature -1"):
        made(-1)


def test_a_long_selection_stands_in_a_link_by_its_key():
    even = made(*range(0, D_SAE, 2))
    assert even.is_short
    wide = Selection.of(range(0, 4_000, 2), dictionary_sha256=SHA, d_sae=4_000)
    assert wide.in_link() == f"{SHA[:12]}:~{wide.key}"
    assert len(wide.in_link()) == 30
    assert wide.called("x").key == wide.key != even.key


def test_selections_are_kept_renamed_and_deleted(store, tmp_path):
    store.keep(made(3, 4, name="months", origin="lasso"))
    store.keep(made(5, name="days"))
    store.keep(made(6, name="days"))
    again = SelectionStore(tmp_path / "notes", SHA, "planted", D_SAE)
    assert {name: one.features for name, one in again.read().named().items()} == {"days": (6,), "months": (3, 4)}
    assert again.read().find("months").origin == "lasso"
    assert again.read().find(made(3, 4).key).name == "months"
    with pytest.raises(SelectionError, match="Another selection is called 'days'"):
        again.rename("months", "days")
    assert list(again.rename("months", "Months of a year").named()) == ["days", "Months of a year"]
    assert list(again.delete("days").named()) == ["Months of a year"]
    with pytest.raises(UnknownNameError, match="no kept selection called 'days'"):
        again.read().find("days")
    assert SelectionStore(tmp_path / "notes", OTHER, "other", D_SAE).read().selections == ()


def test_of_those_without_a_name_only_the_newest_stay(store):
    store.keep(made(39, name="stays"))
    for feature in range(stores.MOST_UNNAMED + 3):
        store.keep(made(feature))
    store.keep(made(5))  # again: now it is the newest
    kept = store.read().selections
    assert [one.features[0] for one in kept if not one.name] == [
        *(i for i in range(3, stores.MOST_UNNAMED + 3) if i != 5),
        5,
    ]
    assert kept[0].name == "stays"


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c | {"selections": [{"name": "", "origin": "", "features": "40"}]},
        lambda c: c | {"selections": [{"name": 1, "origin": "", "features": "4"}]},
        lambda c: c | {"selections": [{"name": "x" * 81, "origin": "", "features": "4"}]},
        lambda c: c | {"dictionary": {"sha256": OTHER, "title": ""}},
        lambda c: c | {"format": "other"},
        lambda c: [],
    ],
)
def test_a_file_that_is_not_of_this_app_is_set_aside_whole(store, change):
    store.keep(made(3, name="old"))
    damaged = json.dumps(change(json.loads(store.path.read_text()))).encode()
    store.path.write_bytes(damaged)
    assert store.read().selections == ()
    assert [path.read_bytes() for path in store.set_aside()] == [damaged]
    assert store.keep(made(4, name="new")).find("new").features == (4,)


def test_a_newer_format_is_left_alone(store):
    store.keep(made(3, name="old"))
    newer = store.path.read_bytes().replace(b"/v1", b"/v2")
    store.path.write_bytes(newer)
    with pytest.raises(SelectionError, match="selections/v2'; expected"):
        store.keep(made(4))
    assert store.path.read_bytes() == newer


def test_the_title_of_another_dictionary_is_known_if_selections_of_it_are_kept(store, tmp_path):
    store.keep(made(3))
    assert title_of(tmp_path / "notes", SHA[:12]) == "planted"
    assert title_of(tmp_path / "notes", OTHER[:12]) is None
    store.path.write_text('"title": "\\q"')
    assert title_of(tmp_path / "notes", SHA[:12]) is None


def test_a_file_of_one_selection_says_whose_it_is():
    content = json.loads(made(3, 4, 5, name="months").to_json("planted"))
    assert content["dictionary"] == {"sha256": SHA, "title": "planted"}
    assert (content["name"], content["features"]) == ("months", "3-5")
    assert made(3, 4).table()["feature"].tolist() == [3, 4]

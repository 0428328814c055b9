"""The selection in the sidebar of every page, run by AppTest through the router."""

import pytest

from core.selection.selection import Selection
from core.selection.store import SelectionStore
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, text_of
from ui.studies import compute

HASH = "0123456789ab"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    planted_pages.write_workspace(root)
    with (
        pytest.MonkeyPatch.context() as patch,
        pages.app(patch, *planted_pages.arguments(root), "--page", "overview"),
    ):
        yield root


@pytest.fixture
def open_page(workspace):
    sae = planted_pages.id_of(workspace)

    def run(query=None):
        return fine(pages.run(pages.SCRIPT, {"sae": sae, "tab": "Norms and biases"} | (query or {})))

    return run


def said(at) -> str:
    return "\n".join(text_of(at.sidebar, kind) for kind in ("caption", "warning"))


def label(at) -> str:
    (box,) = [block for block in at.sidebar.get("popover") if "election" in block.proto.popover.label]
    return box.proto.popover.label


def link(at) -> str:
    value = at.query_params["selection"]
    return value if isinstance(value, str) else value[0]


def type_in(at, text):
    return fine(at.text_input(key="selection").set_value(text).run())


def press(at, name):
    return fine(at.button(key=f"selection_{name}").click().run())


def test_without_a_selection_there_is_one_line_and_a_way_to_make_one(open_page):
    at = open_page()
    assert label(at) == "No selection"
    assert not [toggle for toggle in at.sidebar.toggle if toggle.key == "only"]
    at = type_in(at, "3, 7-9")
    assert label(at) == "Selection: 4 features"
    of, _, listed = link(at).partition(":")
    assert (len(of), listed) == (12, "3,7-9")
    assert at.toggle(key="only").value is False


def test_a_link_opens_the_selection_and_only_its_members(open_page):
    at = open_page({"selection": link(type_in(open_page(), "5")), "only": "true"})
    assert label(at) == "Selection: 1 feature"
    assert at.toggle(key="only").value is True
    assert label(open_page({"selection": "5"})) == "Selection: 1 feature", "typed into the address by hand"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{HASH}:3", f"is of the dictionary whose hash begins with {HASH}, and the open dictionary is"),
        ("3, 12", "Feature 12 does not exist: expected a whole number from 0 to 11"),
        ("~0011223344556677", "There is no kept selection called '0011223344556677'"),
        ("<b>x</b>", "is no feature. Expected numbers and ranges"),
    ],
)
def test_a_link_that_cannot_be_followed_says_why(open_page, text, why):
    at = open_page({"selection": text})
    assert why in said(at)
    assert "Selection: " in label(at)


def test_a_selection_of_another_dictionary_is_refused_by_its_name_where_that_is_known(open_page, workspace):
    store = SelectionStore(workspace / "notes", HASH + "cd" * 26, "a stranger", 100)
    store.path.parent.mkdir(exist_ok=True)
    store.keep(store_selection(store, range(50)))
    assert store.path.parent == compute.workspace().notes
    at = open_page({"selection": f"{HASH}:3"})
    assert "The selection is of a stranger, and the open dictionary is" in said(at)
    assert label(at) == "Selection: of another dictionary"


def store_selection(store, features, name=""):
    return Selection.of(features, dictionary_sha256=store.dictionary_sha256, d_sae=store.d_sae, name=name)


def test_selections_are_named_combined_renamed_and_deleted(open_page):
    at = type_in(open_page(), "0-5")
    at = press(at, "keep")
    assert "kept by its name" in said(at)
    at.text_input(key="_selection_name").set_value("first half")
    at = press(at, "keep")
    assert "first half" in said(at)
    at = type_in(at, "4-8")
    for how, n in (("or", 9), ("and", 6), ("minus", 6)):
        at = press(at, how)
        assert label(at) == f"Selection: {n} features"
    assert "No feature is left" in said(at)
    at = press(at, "open")
    at.text_input(key="_selection_name").set_value("low")
    at = press(at, "rename")
    assert list(at.selectbox(key="_selection_kept").options) == ["low (6)"]
    assert label(press(at, "clear")) == "No selection"
    at = open_page()
    at = press(at, "delete")
    assert not [box for box in at.selectbox if box.key == "_selection_kept"]


def test_a_pasted_text_of_any_length_is_refused_in_words(open_page):
    at = type_in(open_page(), ", ".join(["3"] * 160_000))
    assert label(at) == "Selection: 1 feature"
    at = type_in(at, "x" * 10_000)
    assert "is no feature" in said(at)
    assert at.text_input(key="selection").value == ""

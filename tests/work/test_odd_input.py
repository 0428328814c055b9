"""Whatever stands in a link or is typed into a field, no page shows a red box."""

import ast
from pathlib import Path

import pytest

from tests.doubles import pages, planted_pages
from tests.splitting.test_splitting_page import write_wider
from ui.shell.link import LISTS, TEXTS
from ui.shell.router import page_files

ROOT = Path(__file__).parents[2]
ODD = [
    "9" * 400,
    "1" * 5000,
    "-1e400",
    "nan",
    "²",
    "",
    "\x00",
    "\u202ea\nb\u2028c",
    "[x](http://a.b) :material/home: $x$ <b>",
    "(a+)+$ [",
    "folder/\x00",
    "~nobody/x",
    "registry/",
    "folder/x#k=" + "9" * 5000,
    "../" * 400,
]


def bound(*kinds: str) -> set[str]:
    """Return the names in the link of all widgets, or of those of some kinds."""
    calls = [
        node
        for folder in ("ui", "pages")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    options = [
        {option.arg: getattr(option.value, "value", None) for option in call.keywords}
        for call in calls
        if not kinds or call.func.attr in kinds
    ]
    return {found["key"] for found in options if found.get("bind") and isinstance(found.get("key"), str)}


def test_the_names_that_hold_text_or_several_things_are_known():
    assert bound("text_input", "text_area") <= TEXTS
    assert bound("multiselect", "pills") <= LISTS
    assert not bound("number_input", "slider", "select_slider", "segmented_control", "toggle") & (TEXTS | LISTS)


def options(*kinds: str) -> list[tuple[str, set[str]]]:
    """Return file and names of the options of every widget of some kinds."""
    return [
        (path.name, {option.arg for option in node.keywords})
        for folder in ("ui", "pages")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in kinds
    ]


def test_every_field_for_text_and_for_files_says_how_much_it_takes():
    files, calls = options("uploader"), options("text_input", "text_area")
    assert len(files) > 4
    assert [name for name, given in files if "most_bytes" not in given] == []
    files = options("file_uploader")
    assert [name for name, _ in files] == ["uploads.py"]
    assert len(calls) > 20
    assert [name for name, given in files if "max_upload_size" not in given] == []
    # The box for a text of one's own is bounded where it is read, with words that say what to do instead.
    assert [name for name, given in calls if not {"max_chars", "disabled"} & given] == ["input.py"]


@pytest.fixture
def open_page(tmp_path, monkeypatch, request):
    """Open the page that a test names, on two planted dictionaries."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    write_wider(tmp_path)
    with pages.page(tmp_path, monkeypatch, request.param, "--sae", str(tmp_path / "wide")) as run:
        yield run


every_page = pytest.mark.parametrize("open_page", [page.path.stem for page in page_files()], indirect=True)


@every_page
def test_odd_values_of_all_names_in_a_link_show_no_red_box(open_page):
    names = bound() | {"feature", "position", "own", "own_a", "own_b", "own_pa", "own_pb", "text_name", "token_set"}
    names |= {"selection", "only"}
    for odd in ODD:
        assert not open_page(dict.fromkeys(names - {"sae", "tab", "text"}, odd)).exception, odd[:30]
    for odd in ODD:
        assert not open_page({"sae": odd, "text": odd}).exception, odd[:30]
    for tab in [tab.label for tab in open_page({}).tabs]:
        assert not open_page(dict.fromkeys(names - {"sae"}, "x") | {"tab": tab}).exception, tab


@every_page
def test_odd_text_in_any_field_shows_no_red_box(open_page):
    done = set()
    for tab in [tab.label for tab in open_page({}).tabs] or [None]:
        at = open_page({"tab": tab} if tab else {})
        fields = {field.key for field in (*at.text_input, *at.text_area) if field.key and not field.disabled}
        fields -= done
        done |= fields
        for name in fields:
            for odd in ODD:
                field = next((one for one in (*at.text_input, *at.text_area) if one.key == name), None)
                if field is not None:
                    most = 500 if field.type == "text_area" else field.proto.max_chars  # texts are run through a model
                    field.set_value(odd[: most or None]).run()
                    assert not at.exception, (tab, name, odd[:30])

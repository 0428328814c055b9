"""The positional page on a planted workspace, run by AppTest through the router."""

import os
from pathlib import Path

import pytest

from core.corpus.streams import Document
from tests.doubles import planted_pages
from ui.studies import opened

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SHORT_LIBRARY = [Document(f"module{i}.py", f"def f{i}(x):\n    return x + {i}\n" * 40) for i in range(20)]


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that writes a workspace, opens the app with a query and runs it."""

    def run(query: dict | None = None, *, folder: str | None = "dictionary", **how) -> AppTest:
        planted_pages.write_workspace(tmp_path, **how)
        monkeypatch.setattr("sys.argv", ["app.py", *planted_pages.arguments(tmp_path)])
        monkeypatch.setattr("core.corpus.streams.standard_library", lambda: SHORT_LIBRARY)
        monkeypatch.setattr("ui.shared.progress.PATIENCE_S", 120)  # no progress bars: a test sees the finished page
        st.cache_resource.clear()
        st.cache_data.clear()
        at = AppTest.from_file(str(ROOT / "ui" / "shell" / "script.py"), default_timeout=150)
        if folder:
            at.query_params["sae"] = f"folder/{(tmp_path / folder).resolve()}"
        for name, value in (query or {}).items():
            at.query_params[name] = str(value)
        return at.run()

    yield run
    st.cache_resource.clear()
    st.cache_data.clear()


def shown(at: AppTest) -> str:
    """All text of the page, for assertions on what a person reads."""
    kinds = (at.title, at.caption, at.markdown, at.error, at.warning, at.info, at.metric)
    return "\n".join(str(getattr(e, "value", "")) + str(getattr(e, "label", "")) for kind in kinds for e in kind)


def unescaped(text: str) -> str:
    return text.replace("\\", "")


def table(at: AppTest, column: str):
    """The first table on the page that has a column."""
    return next(d.value for d in at.dataframe if column in d.value.columns)


@pytest.mark.parametrize(
    "tab",
    [
        "Overview",
        "Curves",
        "One feature",
        "One token",
        "One position",
        "Beyond the context",
        "Geometry",
        "Position or token",
        "Model neurons",
        "All features",
    ],
)
def test_every_tab_opens_from_a_link_without_an_exception(open_page, tab):
    at = open_page({"tab": tab})
    assert not at.exception
    assert not [error.value for error in at.error]
    assert at.title[0].value == "Positional features"
    assert at.get("vega_lite_chart") or len(at.dataframe)


def test_the_planted_position_feature_comes_first_with_its_peak(open_page):
    best = table(open_page({"tab": "All features"}), "position_score").iloc[0]
    assert (best["feature"], best["peak"]) == (planted_pages.POSITIONAL, planted_pages.PEAK)
    assert best["position_score"] == pytest.approx(1.5)
    assert best["share_position"] == pytest.approx(1)
    assert best["share_token"] == pytest.approx(0, abs=1e-9)


def test_a_feature_that_fires_only_past_the_context_is_listed_with_its_tokens(open_page):
    late = table(open_page({"tab": "Beyond the context"}), "only_beyond")
    row = late[late["feature"] == planted_pages.NEWCOMER].iloc[0]
    assert row["only_beyond"] == 257


def test_the_planted_positions_are_mended_by_swapping_the_features_that_read_them(open_page):
    at = open_page({"tab": "Beyond the context", "n": "2"})
    assert not at.exception
    assert not at.error
    assert "Error by position after repairs by hand" in unescaped(shown(at))
    assert "2 features count as positional" in unescaped(shown(at))


def test_the_page_says_which_method_was_used(open_page):
    assert "257 tokens x 12 positions" in unescaped(shown(open_page())).replace("×", "x")


def test_the_method_speaks_of_the_positions_that_are_looked_at(open_page):
    assert f"Exact over all 257 tokens × {planted_pages.C} positions" in unescaped(
        shown(open_page({"positions": planted_pages.C}))
    )


def test_weights_that_change_on_disk_are_read_anew_also_under_a_relative_path(open_page, tmp_path):
    open_page()
    before = opened.dictionary("./dictionary")
    assert opened.dictionary(str(tmp_path / "dictionary")) is before
    folder = planted_pages.write_workspace(tmp_path, scale=2.0)
    os.utime(folder / "sae_weights.safetensors", ns=(1, 1))
    assert opened.dictionary("./dictionary").sha256 != before.sha256


@pytest.mark.parametrize("how", [{"hook_name": "blocks.1.hook_resid_pre"}, {"positional": "rotary"}])
def test_deeper_hooks_and_rotary_models_are_read_from_text(open_page, how):
    at = open_page({"tab": "All features"}, **how)
    assert not at.exception
    assert not [error.value for error in at.error]
    assert "text" in shown(at)
    assert table(at, "share_token")["share_token"].isna().all()


def test_the_feature_in_the_url_is_the_feature_shown(open_page):
    at = open_page({"tab": "One feature", "feature": 5})
    assert at.number_input(key="feature").value == 5
    assert "Feature 5 along positions" in shown(at)


@pytest.mark.parametrize(
    ("name", "value", "size"), [("feature", "99", 12), ("feature", "<b>x", 12), ("position", "-1", 12)]
)
def test_an_unknown_feature_or_position_in_the_url_is_named_and_the_page_goes_on(open_page, name, value, size):
    at = open_page({name: value})
    text = unescaped(at.warning[0].value)
    assert value in text
    assert f"0 to {size - 1}" in text
    assert at.get("vega_lite_chart")


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("nowhere", ["nowhere", "Expected a folder or file below", "--root"]),
        ("../..", ["Expected a folder or file below"]),
        ("planted", ["no dictionary in a known format", "choose the folder"]),
    ],
)
def test_a_folder_that_cannot_be_opened_is_explained(open_page, folder, says):
    at = open_page(folder=folder)
    assert not at.exception
    for part in says:
        assert part in unescaped(at.error[0].value)
    assert at.selectbox(key="sae")


def test_an_unknown_dictionary_id_is_explained(open_page):
    at = open_page({"sae": "demo/nothing-like-it"}, folder=None)
    assert "There is no dictionary called" in unescaped(at.error[0].value)


def test_folding_can_be_switched_off_in_the_url(open_page):
    at = open_page({"fold": "false"})
    assert "decoder norms as stored" in unescaped(shown(at))


def test_token_labels_with_markup_stay_text(open_page):
    at = open_page({"tab": "One token", "token": 28})  # '<'
    assert not at.exception
    assert "Token 28" in shown(at)

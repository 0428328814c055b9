"""What code puts into widgets reaches the browser, though the run that put it there was cut off."""

import pytest
import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner import RerunData, RerunException, get_script_run_ctx

from tests.doubles import pages, planted_pages
from ui.shared import picked_feature
from ui.sidebar import pickers

BEFORE, TYPED, AFTER = 1, 2, planted_pages.POSITIONAL


@pytest.fixture
def picked(tmp_path, monkeypatch):
    """The page Positions with the feature BEFORE, as a browser has it."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    with pages.page(tmp_path, monkeypatch, "positions") as open_page:
        yield pages.fine(open_page({"feature": BEFORE, "tab": "Feature by position"}))


def cut_once(monkeypatch, at, *, behind_the_field: bool, said: int | None):
    """Pick AFTER by code, and end that run at the field, as a click does; the browser says `said` of it, or nothing."""
    number, cut = pickers.number, []
    states = None if said is None else WidgetStates(widgets=[WidgetState(id=field(at).id, int_value=said)])

    def drawn(label, key, *given, **how):
        if key != picked_feature.KEY or cut:
            return number(label, key, *given, **how)
        cut.append(key)
        st.session_state[key] = AFTER
        if behind_the_field:
            number(label, key, *given, **how)
        context = get_script_run_ctx()
        raise RerunException(
            RerunData(
                query_string=context.query_string, page_script_hash=context.page_script_hash, widget_states=states
            )
        )

    monkeypatch.setattr(pickers, "number", drawn)


def field(at):
    return at.number_input(key=picked_feature.KEY)


@pytest.mark.parametrize("said", [None, BEFORE])
@pytest.mark.parametrize("behind_the_field", [False, True])
def test_what_was_picked_reaches_the_field_though_its_run_was_cut_off(picked, monkeypatch, behind_the_field, said):
    cut_once(monkeypatch, picked, behind_the_field=behind_the_field, said=said)
    at = pages.fine(picked.run())
    assert field(at).proto.set_value
    assert (field(at).proto.value, field(at).value) == (AFTER, AFTER)
    assert f"Feature {AFTER} by position" in pages.text_of(at, "markdown")
    at = pages.fine(at.run())
    assert not field(at).proto.set_value


def test_what_a_person_typed_meanwhile_stays(picked, monkeypatch):
    cut_once(monkeypatch, picked, behind_the_field=False, said=TYPED)
    at = pages.fine(picked.run())
    assert field(at).value == TYPED
    assert f"Feature {TYPED} by position" in pages.text_of(at, "markdown")


def cut_in_a_callback():
    import streamlit as st
    from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
    from streamlit.runtime.scriptrunner import RerunData, RerunException, get_script_run_ctx

    from ui.shell.told import told

    def pick():
        st.session_state["number"] = 7
        context = get_script_run_ctx()
        known = context.session_state._state._key_id_mapper
        said = WidgetState(id=known.get_id_from_key("number"), int_value=st.session_state["browser_says"])
        raise RerunException(
            RerunData(
                query_string=context.query_string,
                page_script_hash=context.page_script_hash,
                widget_states=WidgetStates(widgets=[said]),
            )
        )

    with told():
        st.number_input("Number", 0, 9, key="number")
        st.button("Pick", key="pick", on_click=pick)


@pytest.mark.parametrize(("said", "then"), [(0, 7), (3, 3)])
def test_what_a_callback_picked_reaches_the_field_though_the_run_never_began(said, then):
    at = pages.run(cut_in_a_callback, browser_says=said)
    at = pages.fine(at.button(key="pick").click().run())
    field = at.number_input(key="number")
    assert field.value == then
    assert not field.proto.set_value or field.proto.value == then
    assert field.proto.set_value == (then == 7)

"""What Neuronpedia has on features: links, its page in a frame, and labels.

The app makes links by itself. A request leaves this machine only if a person switches the frame on (then the browser
asks) or presses the download button (then the app asks). The URL keeps neither.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.feature_lists import parse_features
from core.neuronpedia.labels import (
    MOST_IN_LIST,
    Labels,
    NeuronpediaSource,
    download_labels,
    labels_address,
    neuronpedia_source,
)
from ui.shared import errors, selected
from ui.shared import progress as shared_progress
from ui.shared.errors import StillRunning
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.shared.selection import columns
from ui.sidebar import downloads
from ui.studies import compute
from ui.studies.neuronpedia import TYPED, downloaded_labels

_FETCH = "_np_fetch"
_NO_ID = (
    "Neither the config of this dictionary nor the registry of sae-lens names an id on Neuronpedia. Links, frame and "
    "labels need one. If Neuronpedia has this dictionary with the same feature numbers, type its id above. To bring "
    "features there, open the tab Export."
)
FRAME_HEIGHT = 620


def choose_source(dictionary: Dictionary) -> NeuronpediaSource | None:
    """Return the id that the dictionary names, or draw a field for it. Raises NeuronpediaError."""
    said = neuronpedia_source(dictionary)
    if said is not None:
        st.caption(plain(f"On Neuronpedia as {said.model_id}/{said.source_id}, as its files or the registry say."))
        return said
    # An id belongs to one dictionary, so an id typed for another is dropped.
    if st.session_state.setdefault("_np_for", dictionary.id) != dictionary.id:
        st.session_state["_np_for"] = dictionary.id
        st.session_state["np_id"] = ""  # if the key were deleted, Streamlit would read it from the URL again
    text = st.text_input(
        "Neuronpedia id",
        key="np_id",
        bind="query-params",
        max_chars=260,
        placeholder="gpt2-small/8-res-jb",
        help="Model and source, as in the address of a feature's page there. The files of this dictionary do not name "
        "them.",
    )
    typed = st.session_state.setdefault(TYPED, {})
    typed.pop(dictionary.id, None)
    if not text.strip():
        st.info(plain(_NO_ID), icon=":material/public_off:")
        return None
    typed[dictionary.id] = NeuronpediaSource.parse(text)
    return typed[dictionary.id]


def panel(dictionary: Dictionary, feature: int) -> None:
    """Draw one feature: the link to its page, the page in a frame if wanted, its label, and the download of labels."""
    source = choose_source(dictionary)
    if source is None:
        return
    known = downloaded_labels(dictionary)
    if known is not None:
        _label(known, dictionary, feature)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.link_button(
            f"Open feature {feature}", source.feature_url(feature), icon=":material/open_in_new:", type="primary"
        )
        st.link_button("Open all features", source.url, icon=":material/open_in_new:")
        if known is None:
            _offer_labels(source)
        shown = st.toggle(
            "Show here",
            key="np_show",
            help="On: your browser asks www.neuronpedia.org for the page of each feature that you pick. Off: it asks "
            "for nothing.",
        )
    if st.session_state.get(_FETCH) == Labels.key(source):
        with errors.shown():
            compute.workspace().policy.check_repository(f"{source.model_id}/{source.source_id}")
            _fetch(source)
    if shown:
        # The caption is above the frame, because below it would be off the screen.
        st.caption(
            "An empty frame: Neuronpedia has no such feature, or the browser cannot reach it. "
            f"[Open the page]({source.feature_url(feature)}) to see which."
        )
        st.iframe(source.embed_url(feature), height=FRAME_HEIGHT, alt=f"Neuronpedia's page of feature {feature}")


def _label(known: Labels, dictionary: Dictionary, feature: int) -> None:
    text = known.of(feature)
    if text is not None:
        st.markdown(f"> {plain(text)}")
    else:
        st.markdown(f"Feature {feature} has no label on Neuronpedia.")
    st.caption(
        f"{len(known.text):,} of {dictionary.d_sae:,} features have a label, most of them written by a language model."
    )
    largest = int(known.feature.max(initial=0))
    if largest >= dictionary.d_sae:
        st.warning(
            f"Neuronpedia has a label for feature {largest:,}, but this dictionary has {dictionary.d_sae:,} features. "
            "So the id belongs to another dictionary, and its labels say nothing about this one.",
            icon=":material/warning:",
        )


def _offer_labels(source: NeuronpediaSource) -> None:
    """Ask before labels are downloaded. A public app that does not list them offers nothing."""
    if not compute.workspace().policy.lists(f"{source.model_id}/{source.source_id}"):
        return
    with st.popover("Download labels", icon=":material/download:"):
        st.markdown("This machine will ask")
        st.code(labels_address(source), language=None, wrap_lines=True)
        st.markdown(
            "for the labels of all features: one file after the other, a few hundred kilobytes each. It sends nothing "
            "of yours, and keeps the labels."
        )
        st.button("Download", key="np_fetch", type="primary", on_click=_ask_for, args=(source,))


def _ask_for(source: NeuronpediaSource) -> None:
    key = Labels.key(source)
    st.session_state[_FETCH] = key
    st.session_state.pop(f"_stopped_{key}", None)


def _fetch(source: NeuronpediaSource) -> None:
    """Download labels and keep them. Draws the progress and raises StillRunning until they are here."""
    key, store = Labels.key(source), compute.store()
    try:
        labels = shared_progress.run(
            downloads.jobs(),
            key,
            f"Labels of {source.model_id}/{source.source_id}",
            lambda progress: store.cached(Labels, key, lambda: download_labels(source, progress=progress)),
        )
    except StillRunning:
        raise
    except Exception:
        del st.session_state[_FETCH]  # every run would restart a failed job
        raise
    del st.session_state[_FETCH]
    compute.loaded().get(key, lambda: labels)
    st.rerun()


def choose_features(dictionary: Dictionary, feature: int) -> list[int]:
    """Draw the field for a list of features. Empty: the selection, or else the picked feature. Raises LoupeError."""
    text = st.text_input(
        "Features",
        key="np_features",
        bind="query-params",
        max_chars=12_000,
        placeholder="12, 45-60",
        help="Numbers and ranges. Empty: the selection in the sidebar, or without one the feature picked there.",
    )
    typed, members = parse_features(text, dictionary.d_sae), selected.members_of(dictionary)
    if typed or members is None:
        return typed or [feature]
    st.caption(f"The {int(members.sum()):,} features of the selection. Type others here to take those instead.")
    return np.flatnonzero(members).tolist()


def quick_list(dictionary: Dictionary, features: Sequence[int]) -> None:
    """Draw a link to a page that shows several features, and a table with a link for each."""
    source = choose_source(dictionary)
    if source is None:
        return
    name = st.text_input("Name of the list", key="np_name", max_chars=100, placeholder=dictionary.title)
    if len(features) > MOST_IN_LIST:
        st.warning(
            f"{len(features):,} features are too many for one page. Neuronpedia shows at most {MOST_IN_LIST} together. "
            "The table links each of them.",
            icon=":material/format_list_numbered:",
        )
    else:
        st.link_button(
            f"Open {len(features)} feature{'s' * (len(features) > 1)} together",
            source.list_url(name.strip() or dictionary.title, features),
            icon=":material/open_in_new:",
            type="primary",
        )
    _table(dictionary, source, features)


def _table(dictionary: Dictionary, source: NeuronpediaSource, features: Sequence[int]) -> None:
    known = downloaded_labels(dictionary)
    table = pd.DataFrame({"feature": features})
    if known is not None:
        table["neuronpedia_label"] = [known.of(feature) or "" for feature in features]
    table["neuronpedia_page"] = [source.feature_url(feature) for feature in features]
    shown = columns(table)
    shown["neuronpedia_page"] = st.column_config.LinkColumn(
        catalogue.statistic("neuronpedia_page").title,
        help=catalogue.help_text("neuronpedia_page"),
        display_text="Open",
    )
    explains = [name for name in table.columns if name != "feature"]
    figure(
        "Features of the list",
        listing(table, "np-list", config=shown, picks="feature"),
        table,
        explains=explains,
        note=f"{len(features):,} features · {'labels as downloaded' if known else 'no labels downloaded'}",
        name="neuronpedia-list",
        provenance={"dictionary": dictionary.id, "neuronpedia": f"{source.model_id}/{source.source_id}"},
        whose={"feature": dictionary.sha256},
    )

"""Widgets that several pages share. The URL holds their values under the widgets' keys."""

from collections.abc import Callable
from contextlib import suppress

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources.choices import with_setting
from core.dictionaries.spaces import DictionarySide, place_of, two_places
from core.errors import LoupeError, OutOfRangeError
from core.models import tokenizer_files
from core.models.language_model import LanguageModel
from core.positions.methods import usual_positions
from core.positions.study import Study
from ui.shared import errors, naming, picked_feature
from ui.shared.escape import plain, signs
from ui.sidebar import dictionary_finder
from ui.studies import geometry, opened


def dictionary() -> st.delta_generator.DeltaGenerator:
    """Pick the dictionary: from the list, or by typing the path of a folder. Return the place for what it lacks."""
    dictionary_finder.take_up()
    options = opened.dictionary_ids()
    st.selectbox(
        "Dictionary",
        options,
        key="sae",
        bind="query-params",
        format_func=opened.in_pickers(),
        accept_new_options=True,
        placeholder="Choose one or type a path",
        help="A dictionary is this app's word for a sparse autoencoder (SAE) of a language model. Type to search the "
        "list, or type the path of a folder or file. The path must lie below a folder that the app was started "
        "with. The app finds out the format. To set it, add #format=NAME to the path. To add what the files do not "
        "say, add #model_name=NAME&hook_name=NAME.",
    )
    dictionary_finder.button()
    missing = st.container()
    st.toggle(
        "Fold decoder norms",
        value=True,
        key="fold",
        bind="query-params",
        help="Scales every decoder row to length 1 and multiplies the activations by the old length, where the "
        "architecture allows it. Reconstructions do not change. Activations of different features become "
        "comparable.",
    )
    return missing


def choices() -> None:
    """Pick what of the dictionary's files is looked at: a layer, a target, a side or a level; nothing where all is."""
    with suppress(LoupeError):
        picked = opened.dictionary()
        for choice in picked.origin.choices:
            key = f"_choice {choice.name} {picked.id}"
            values = list(choice.values)
            st.selectbox(
                choice.title,
                values,
                index=values.index(choice.chosen),
                key=key,
                format_func=lambda value, choice=choice: signs(choice.values[value]),
                help=choice.meaning,
                on_change=_choose,
                args=(picked.id, choice.name, key),
            )


def _choose(id: str, name: str, key: str) -> None:
    st.session_state["sae"] = with_setting(id, name, st.session_state[key])


def feature() -> None:
    """Pick the feature that all pages show. Draws nothing if the dictionary cannot be opened (the page says why)."""
    with suppress(LoupeError):
        picked = opened.dictionary()
        picked_feature.take_up()
        feature = number(
            "Feature",
            picked_feature.KEY,
            picked.d_sae,
            default=None,
            on_change=picked_feature.keep_picked,
            help="A feature is one unit of the dictionary. All pages show this one. A "
            "click in a chart or a table picks it too.",
        )
        if name := naming.names_of(picked.sha256).of(feature):
            st.caption(plain(name))


def number(
    label: str,
    key: str,
    size: int,
    *,
    default: int | None = 0,
    help: str | None = None,
    on_change: Callable[[], None] | None = None,
) -> int:
    """Pick a whole number from 0 to size - 1. The URL holds it; a warning names a bad number in the URL.

    Streamlit silently drops a value that it cannot use, so the raw URL is checked first. Without a default the field
    is empty at first, which counts as 0.
    """
    problem = f"_{key}_problem"

    def changed() -> None:
        st.session_state.pop(problem, None)
        if on_change:
            on_change()

    raw = st.query_params.get(key)
    if raw is not None and not (raw.isdecimal() and int(raw[:12]) < size):
        st.session_state[problem] = str(OutOfRangeError(label, raw, size))
    # A smaller dictionary was chosen: the number kept from the larger one may be out of range.
    if not 0 <= (st.session_state.get(key, default) or 0) < size:
        st.session_state[problem] = str(OutOfRangeError(label, st.session_state[key], size))
        st.session_state[key] = default
    value = st.number_input(
        label,
        min_value=0,
        max_value=size - 1,
        value=default,
        key=key,
        bind="query-params",
        help=help,
        on_change=changed,
    )
    if problem in st.session_state:
        st.warning(plain(f"{st.session_state[problem]} Showing {value or 0}."), icon=":material/link_off:")
    return int(value or 0)


def positions() -> int:
    """Pick how many positions are looked at."""
    with errors.shown(stop=True):
        dictionary = opened.dictionary()
        model = opened.model_of(dictionary)
    context = min(dictionary.config.context_size or model.n_ctx, model.n_ctx)
    sizes = sorted({context, min(2 * context, model.n_ctx), model.n_ctx})
    if len(sizes) == 1:
        return sizes[0]
    if st.session_state.get("positions", sizes[0]) not in sizes:
        del st.session_state["positions"]  # from a dictionary with another context
    with st.sidebar:
        return st.select_slider(
            "Positions",
            sizes,
            value=usual_positions(dictionary.config, model),
            key="positions",
            bind="query-params",
            help=f"How many positions are shown. The dictionary was trained on {context}; the model reads up to "
            f"{model.n_ctx}.",
        )


_FEW = 10
"""Features shown where the scores have no clear elbow."""


def count(study: Study) -> int:
    """Pick how many features count as positional; the elbow of the scores is suggested."""
    suggested = study.suggested
    usual = min(200, suggested or _FEW)
    # Another dictionary has another elbow, so a number chosen for the last one is dropped.
    if st.session_state.setdefault("_n_for", study.dictionary.id) != study.dictionary.id:
        st.session_state["_n_for"] = study.dictionary.id
        # If the key were deleted, Streamlit would read it from the URL again.
        st.session_state["n"] = usual
    return st.slider(
        "Features shown",
        1,
        max(64, min(200, 2 * suggested)),
        usual,
        key="n",
        bind="query-params",
        help="How many features are shown: those with the largest position scores. The first value is the elbow of the "
        f"curve of scores by rank, {_FEW} where none is clear.",
    )


def facts(dictionary: Dictionary, model: LanguageModel | None = None, reason: str = "") -> None:
    """Show which dictionary this is, how its numbers are made, and its warnings.

    Pages that need weights alone give no model.
    """
    config = dictionary.config
    places = [config.hook_name or "hook unknown"]
    if config.hook_name_out and config.hook_name_out != config.hook_name:
        places = [f"reads {config.hook_name}", f"writes {config.hook_name_out}"]
    if len(config.hooks_in) > 1:
        places[0] = f"reads {len(config.hooks_in)} places"
    with st.container(horizontal=True, vertical_alignment="center"):
        for text in (
            config.kind,
            f"{dictionary.d_sae:,} features",
            *places,
            *([model.name] if model else []),
            f"context {config.context_size}" if config.context_size else "context unknown",
            "decoder norms folded" if dictionary.folded else "decoder norms as stored",
            *([f"read as {dictionary.origin.format}"] if dictionary.origin.format else []),
            *geometry.odd_features(dictionary, "decoder").counts("decoder rows"),
            *geometry.odd_features(dictionary, "encoder").counts("encoder columns"),
        ):
            st.badge(plain(text), color="gray")
    for said in filter(None, (two_places(dictionary), dictionary.halves_said)):
        st.caption(plain(said))
    if dictionary.origin.stated:
        st.caption(plain(f"Understood from the files: {'; '.join(dictionary.origin.stated)}."))
    if dictionary.origin.inferred:
        st.caption(
            plain(
                f"The files do not state these settings; the app inferred them or you set them: "
                f"{'; '.join(dictionary.origin.inferred)}."
            )
        )
    if model and (why := opened.why_model(dictionary)):
        st.warning(plain(why), icon=":material/device_unknown:")
    if model and not model.has_tokenizer:
        why = tokenizer_files.why_not(model.folder)
        st.caption(plain(f"{model.name} has no tokenizer.json{why}: tokens are shown as their ids."))
    if reason:
        st.caption(plain(reason))
    for note in (*dictionary.origin.notes, *(model.notes if model else ())):
        st.warning(plain(note), icon=":material/warning:")


def side() -> DictionarySide:
    """Pick which directions of the features are compared."""
    chosen = st.segmented_control(
        "Directions",
        ["Decoder", "Encoder"],
        default="Decoder",
        required=True,
        key="side",
        bind="query-params",
        help="Decoder: the directions that features write. Encoder: the directions that features read.",
    )
    side = "encoder" if chosen == "Encoder" else "decoder"
    with suppress(LoupeError):
        picked = opened.dictionary()
        if two_places(picked):
            does, place = "read" if side == "encoder" else "write to", place_of(picked, side) or "an unknown hook"
            st.caption(plain(f"Directions in the space of {place}, which features {does}."))
    return side

"""The tab Stable core: the features that return as a dictionary of their own, and what it still explains."""

from collections.abc import Sequence

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.stability.returning import Stability
from core.stability.stable_core import stable_core, zipped
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.shared.later import Later
from ui.studies import stability


def said_none(found: Stability, times: int) -> str:
    """Say that no feature returns so often, and how often those do that return most often."""
    most, n = int(found.count.max()), found.n
    if most <= 0:
        said = "No feature returns in any other dictionary" if n > 1 else "No feature returns in the other dictionary"
        return f"{said}, so there is no stable core. A lower threshold finds more."
    n_features = len(found.at_least(most))
    what = "1 feature returns" if n_features == 1 else f"{n_features:,} features return"
    where = f"all {n}" if times == n else f"at least {times} of {n}"
    return f"No feature returns in {where} other dictionaries. The most is {most} of {n}: {what} in so many."


def core(others: Sequence[Dictionary]) -> None:
    """Pick how often a feature must return, offer the core as a folder, and compare its variance explained."""
    study = stability.study(others=others)
    n = study.found.n
    times = st.slider("Returns in at least", 1, n, n, key="st_times", format="%d") if n > 1 else 1
    if not len(study.found.at_least(times)):
        st.info(plain(said_none(study.found, times)), icon=":material/info:")
        return
    made = stable_core(study.dictionary, study.found, times=times)
    n_features, d_sae = made.d_sae, study.dictionary.d_sae
    st.markdown(plain(f"{n_features:,} of {d_sae:,} features return in at least {times} of {n}."))
    name = f"stable-core-{n_features}"
    st.download_button(
        "Save the stable core",
        lambda: zipped(made, name),
        f"{name}.zip",
        "application/zip",
        key="st_core",
        icon=":material/download:",
        on_click="ignore",
        help="A zip file with one folder in sae-lens' format, which SAE.load_from_disk and this app open. Weights are "
        "those of the picked dictionary as it is open here.",
    )
    explained = Later(
        lambda: stability.core_explained(study.dictionary, made), missing="variance explained is computed"
    )
    if explained.value is not None:
        table, text = explained.value
        figure(
            "What the stable core explains",
            listing(table, "st-core-table"),
            table,
            explains=["fve", "l0", "core_features"],
            note=study.note(f"features that return in at least {times}", text, "nothing is trained anew"),
            name="stable-core",
            provenance=study.provenance | {"method": "variance explained by the stable core"},
        )
    explained.draw()

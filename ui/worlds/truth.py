"""The tabs of the page Ground truth: what pages get right, every feature, and the world."""

import streamlit as st

from core.worlds.study import WorldStudy
from ui.shared.figure import figure, listing
from ui.studies import worlds


def offer() -> None:
    """Say that the picked dictionary was trained, and offer one whose truth is known."""
    st.info(
        "Nobody knows what is true of the features of a trained dictionary. A dictionary of the known world was "
        "planted: some of its features split, absorb their parents, are copies, or are dead.",
        icon=":material/fact_check:",
    )
    st.button(
        "Open the known world",
        key="world_open",
        icon=":material/fact_check:",
        on_click=lambda: st.session_state.update({"sae": worlds.WIDE}),
    )


def verdicts(study: WorldStudy) -> None:
    """List what is true, how often the pages say it, and how often they are wrong."""
    table = study.verdict_table()
    hits, true = int(table["world_hit"].sum()), int(table["world_true"].sum())
    said = f"Of {true} things that are true, the pages say {hits}; {int(table['world_false'].sum())} are said wrongly."
    st.markdown(said)
    figure(
        "What the pages say, beside the truth",
        listing(table, "world-verdicts", height="auto"),
        table,
        explains=["world_what", "world_true", "world_hit", "world_missed", "world_false"],
        note=worlds.note("recovered counts features of the world, the rest those of the dictionary"),
        name="ground-truth",
        provenance=worlds.provenance(study),
        finding=said,
    )


def features(study: WorldStudy) -> None:
    """List every feature of the dictionary: what it is, and where pages err."""
    table = study.feature_table()
    wrong = int((table["world_wrong"] != "").sum())
    figure(
        "Every feature of the dictionary",
        listing(table, "world-features", picks="feature"),
        table,
        explains=["world_kind", "world_feature", "world_cosine", "world_wrong"],
        note=worlds.note(f"the pages err about {wrong} of {len(table)} features"),
        name="ground-truth-features",
        provenance=worlds.provenance(study),
    )


def world(study: WorldStudy) -> None:
    """List every feature of the world with the nearest feature of the dictionary."""
    table = study.world_table()
    figure(
        "Every feature of the world",
        listing(table, "world-world", picks="feature"),
        table,
        explains=["world_is", "world_rate", "world_cosine", "world_recall", "world_precision", "world_has"],
        note=worlds.note("feature: the nearest of the dictionary by decoder cosine"),
        name="ground-truth-world",
        provenance=worlds.provenance(study),
    )

"""The tabs of the overview page that need weights alone, except for the badge: facts, norms and biases, basis."""

import json
from html import escape

import pandas as pd
import streamlit as st

from core import catalogue, tables
from core.dictionaries.dictionary import Dictionary
from core.geometry.basis import BasisAlignment, basis_alignment, basis_name, written_hook
from core.overview import tables as overview_tables
from core.overview.recipe import RecipeLine, facts, recipe
from core.overview.recipe_code import python_recipe
from ui.overview import halves, health
from ui.shared import charts, errors
from ui.shared.escape import plain, signs
from ui.shared.figure import altair, figure, listing
from ui.studies import compute

MOST_ROWS = 500


def overview(dictionary: Dictionary) -> None:
    """Draw the badge above and the facts below. The facts come first, because they need no text."""
    place = st.container()
    what_it_is(dictionary)
    with place, errors.shown():
        health.badge(dictionary)
    if dictionary.config.architecture == "temporal":
        with errors.shown():
            halves.halves(dictionary)


def what_it_is(dictionary: Dictionary) -> None:
    """Draw what the dictionary is, how the app feeds it, and Python code that does the same."""
    left, right = st.columns(2, gap="medium")
    for column, title, lines in (
        (left, "What it is", facts(dictionary)),
        (right, "How it is used here", recipe(dictionary)),
    ):
        with column, st.container(border=True, height="stretch"):
            st.markdown(f"**{title}**")
            st.html(definitions(lines, meanings=column is right))
    st.download_button(
        "Facts and recipe (JSON)",
        lambda: as_json(dictionary),
        "dictionary.json",
        "application/json",
        key="facts_json",
        icon=":material/download:",
        on_click="ignore",
    )
    with st.expander("The same in Python", icon=":material/code:"):
        st.code(signs(python_recipe(dictionary)), language=None)  # colours of code have too little contrast


def definitions(lines: list[RecipeLine], *, meanings: bool) -> str:
    """Write lines as a compact table in HTML, everything escaped. Meanings are shown below the values or on hover."""
    rows = []
    for line in lines:
        title, value, meaning = (escape(signs(text)) for text in (line.title, line.value, line.meaning))
        more = f'<br><span style="opacity:0.65">{meaning}</span>' if meanings and meaning else ""
        rows.append(
            f'<div style="opacity:0.65" title="{meaning}">{title}</div>'
            f'<div style="overflow-wrap:anywhere"><b>{value}</b>{more}</div>'
        )
    grid = "display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:0.35rem 1.2rem;font-size:0.875rem"
    return f'<div style="{grid}">{"".join(rows)}</div>'


def as_json(dictionary: Dictionary) -> str:
    parts = {"facts": facts(dictionary), "recipe": recipe(dictionary)}
    said = {name: {line.title: line.value for line in lines} for name, lines in parts.items()}
    origin = dictionary.origin
    extra = {"published": origin.published, "sha256": dictionary.sha256, "notes": list(origin.notes)}
    return json.dumps(said | extra | {"python": python_recipe(dictionary)}, indent=1)


def norms(dictionary: Dictionary) -> None:
    """Draw histograms of norms and biases, which need weights alone."""
    table = overview_tables.weight_table(dictionary)
    if dictionary.folded:
        st.info(
            "Decoder norms are folded into the encoder, so all of them are 1 here. To see the weights as stored, "
            "switch off Fold decoder norms in the sidebar.",
            icon=":material/straighten:",
        )
    log = st.toggle("Logarithmic heights", key="norms_log", bind="query-params")
    hidden = {"feature", "decoder_norm"} if dictionary.folded else {"feature"}
    names = [name for name in table.columns if name not in hidden]
    places = st.columns(2, gap="medium")
    for i, name in enumerate(names):
        with places[i % 2]:
            weight_histogram(dictionary, table, name, log=log)


def weight_histogram(dictionary: Dictionary, table: pd.DataFrame, name: str, *, log: bool) -> None:
    item = catalogue.statistic(name)
    values, norms = table[name], "folded" if dictionary.folded else "as stored"
    extent = f"median {values.median():.3g}, from {values.min():.3g} to {values.max():.3g}"
    chart = charts.histogram(table, name, f"{item.title} ({item.unit})", log=log, y_title=heights(log))
    figure(
        item.title,
        altair(chart, f"weights-{name}"),
        table[["feature", name]],
        explains=[name],
        note=f"{len(table):,} features · {extent} · decoder norms {norms}",
        name=f"weights-{name.replace('_', '-')}",
        provenance=tables.provenance(dictionary=dictionary, method="from the weights", settings={}),
    )


def basis(dictionary: Dictionary) -> None:
    """Show how far features lie along single coordinates of the hook they write to."""
    hook = written_hook(dictionary)

    def work(progress) -> BasisAlignment:
        return basis_alignment(dictionary, progress=progress)

    key = BasisAlignment.key(dictionary.sha256)
    alignment = compute.result(BasisAlignment, key, f"Basis alignment of {dictionary.title}", work)
    table = alignment.to_frame()
    note = f"{len(table):,} features · {alignment.n_coordinates:,} {basis_name(hook)} at {hook}"
    st.caption(
        plain(f"Coefficients of each feature's direction over the {alignment.n_coordinates:,} {basis_name(hook)}.")
    )
    log = st.toggle("Logarithmic heights", key="basis_log", bind="query-params")
    places = st.columns(2, gap="medium")
    provenance = tables.provenance(dictionary=dictionary, method="decoder rows of length 1", settings={"hook": hook})
    for i, name in enumerate(("top3_share", "large_coefficients", "basis_kurtosis", "effective_coordinates")):
        item = catalogue.statistic(name)
        with places[i % 2]:
            figure(
                item.title,
                altair(basis_histogram(table, name, log=log), f"basis-{name}"),
                table[["feature", name]],
                explains=[name],
                note=note,
                name=f"basis-{name.replace('_', '-')}",
                provenance=provenance,
            )
    basis_table(table, note, provenance)


def basis_histogram(table: pd.DataFrame, name: str, *, log: bool):
    """Count features by one number of their coefficients. Each whole number has a bin of its own."""
    item = catalogue.statistic(name)
    values = table[name].dropna()
    whole = item.format == "d"
    bins = int(values.max() - values.min()) + 1 if whole and len(values) else 60
    title = f"{item.title} ({item.unit})"
    return charts.histogram(table, name, title, bins=min(bins, 120), log=log, y_title=heights(log))


def heights(log: bool) -> str:
    return "Features (log)" if log else "Features"


def basis_table(table: pd.DataFrame, note: str, provenance: dict) -> None:
    """List the features that lie along single coordinates most. A click picks one."""
    shown = table.sort_values("top3_share", ascending=False, kind="stable").head(MOST_ROWS)

    def draw() -> None:
        listing(shown, "basis-table", height=420, picks="feature")()

    figure(
        "Features along single coordinates",
        draw,
        table,
        explains=[name for name in table.columns if name != "feature"],
        note=f"{note} · the {len(shown):,} with the largest share of the top 3 · click a row to pick its feature",
        name="basis-alignment",
        provenance=provenance,
    )

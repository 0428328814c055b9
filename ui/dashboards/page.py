"""The page Dashboards: pickers of folder and feature, and all that the file says of the feature."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from core import catalogue
from core.dashboards import Dashboard, DashboardSet, open_dashboards
from core.errors import OutOfRangeError
from core.files.stamps import stamp
from core.installation import PROJECT
from ui.shared import charts, token_text
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.studies import compute

EXAMPLE = "example"
"""Typed as the folder, or in a link, it opens the files that come with the app."""
_EXAMPLE_FOLDER = PROJECT / "demo" / "dashboards"
_NAMED = 4
"""Damaged files that are named one by one."""


@st.cache_resource(max_entries=4, show_spinner="Reading the folder")
def _sets(folder: str, state: str) -> list[DashboardSet]:
    return open_dashboards(Path(folder))


def choose() -> DashboardSet | None:
    """Pick a folder, and a format if it holds several. Raises LoupeError for a folder without dashboards."""
    text = _typed() if compute.workspace().policy.takes_paths else _said()
    if not text.strip():
        st.button(
            "Open an example",
            key="dash_example",
            icon=":material/dashboard:",
            help="Eight features of the demo in the files that Neuronpedia keeps, as this app exports them.",
            on_click=lambda: st.session_state.update({"dash_folder": EXAMPLE}),
        )
        return None
    folder = _EXAMPLE_FOLDER if text.strip() == EXAMPLE else compute.workspace().allowed_folder(text)
    # A file that is written anew in place changes no folder.
    state = stamp([folder, *(path for path in folder.glob("*") if path.is_dir())])
    sets = _sets(str(folder), state)
    if sets[0].refused:  # what the system refused may become readable without a change of any file
        _sets.clear(str(folder), state)
    _passed_over(sets[0].refused)
    titles = [one.title for one in sets]
    if len(sets) == 1:
        return sets[0]
    title = st.segmented_control(
        "Format", titles, default=titles[0], required=True, key="dash_format", bind="query-params"
    )
    return sets[titles.index(title)]


def _typed() -> str:
    """Draw the field for a folder."""
    return st.text_input(
        "Folder",
        max_chars=1_024,
        key="dash_folder",
        bind="query-params",
        placeholder="Path of a folder with dashboards",
        help="A folder with files of SAEDashboard (batch-0.json and so on), of Neuronpedia (bulk files or answers of "
        "its API), of OpenAI's viewer (atoms/) or of Delphi. It must lie below a folder that the app was started "
        "with.",
    )


def _said() -> str:
    """Return what a link or the example says where no field is drawn."""
    return str(st.session_state.get("dash_folder", st.query_params.get("dash_folder", "")))


def _passed_over(reasons: Sequence[str]) -> None:
    """Name the files that cannot be read; of many, the first."""
    for why in reasons[:_NAMED]:
        st.warning(plain(f"Passed over: {why}"), icon=":material/warning:")
    if len(reasons) > _NAMED:
        st.warning(f"{len(reasons) - _NAMED:,} more files cannot be read.", icon=":material/warning:")


def choose_feature(dashboards: DashboardSet) -> int:
    """Pick one of the features that have a dashboard. A warning names a number in the URL that has none."""
    features = dashboards.features
    asked = st.number_input("Feature", features[0], features[-1], key="dash_feature", bind="query-params")
    if asked not in dashboards.places:
        raise OutOfRangeError("A dashboard for feature", asked, features[-1] + 1)
    return int(asked)


def show(dashboards: DashboardSet, feature: int) -> None:
    """Draw everything that the file says of one feature."""
    dashboard = dashboards.read(feature)
    _passed_over(dashboard.unread)
    for label in dashboard.labels:
        st.markdown(f"> {plain(label)}")
    facts = {"Density": dashboard.density, "Largest activation": dashboard.max_activation}
    cards = st.container(horizontal=True)
    for title, value in facts.items():
        cards.metric(title, "n/a" if value is None else f"{value:.4g}", border=True)
    source = {"app": dashboards.title, "folder": dashboards.folder.name, "feature": feature}
    left, right = st.columns([3, 2], gap="medium")
    with left:
        examples(dashboard, dashboards, source)
    with right:
        histograms(dashboard, dashboards, source)
        logits(dashboard, dashboards, source)


def examples(dashboard: Dashboard, dashboards: DashboardSet, source: dict) -> None:
    """Draw texts with the activation on each token, group by group."""
    if not dashboard.examples:
        st.info("The file holds no text on which this feature is active.")
        return
    groups = list(dict.fromkeys(one.group for one in dashboard.examples))
    group = st.selectbox("Examples", groups, key="dash_group")
    shown = [one for one in dashboard.examples if one.group == group]
    shown.sort(key=lambda one: -max(one.values))
    rows = [
        (number, one.group, token, value)
        for number, one in enumerate(dashboard.examples)
        for token, value in zip(one.tokens, one.values, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["example", "example_group", "token_text", "activation"])
    figure(
        f"Feature {dashboard.feature} on text",
        lambda: token_text.draw([(one.tokens, one.values) for one in shown[:20]]),
        table,
        explains=["activation"],
        note=f"{min(20, len(shown))} of {len(shown)} texts, {group} · as computed by {dashboards.title}",
        name=f"dashboard-{dashboard.feature}-examples",
        provenance=source,
    )


def histograms(dashboard: Dashboard, dashboards: DashboardSet, source: dict) -> None:
    """Draw the file's histograms of activations and of logit weights."""
    for name, title, bars in (
        ("activation", "Activations that are not zero", dashboard.activations),
        ("logit_weight", "Logit weights of all tokens", dashboard.logits),
    ):
        if bars is None:
            continue
        table = pd.DataFrame({name: bars.values, "count": bars.heights})
        figure(
            title,
            altair(charts.bars(table, name, x_title=catalogue.statistic(name).title), f"dash-{name}"),
            table,
            explains=[name],
            note=f"{len(table)} bins · as computed by {dashboards.title}",
            name=f"dashboard-{dashboard.feature}-{name}",
            provenance=source,
        )


def logits(dashboard: Dashboard, dashboards: DashboardSet, source: dict) -> None:
    """List the tokens that the feature promotes and suppresses most."""
    directions = {"promoted": dashboard.promoted, "suppressed": dashboard.suppressed}
    pairs = [(name, *pair) for name, known in directions.items() for pair in known]
    if not pairs:
        return
    table = pd.DataFrame(pairs, columns=["direction", "token_text", "logit_weight"])
    figure(
        "Tokens it promotes and suppresses",
        listing(table, "dash-logits", height=300),
        table,
        explains=["logit_weight"],
        note=f"as computed by {dashboards.title}",
        name=f"dashboard-{dashboard.feature}-logits",
        provenance=source,
    )

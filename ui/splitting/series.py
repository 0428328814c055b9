"""The tabs of the splitting page on one series of widths: the graph of children, and counts."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from core import catalogue
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.home import findings
from core.matching.pairs import THRESHOLD
from core.splitting import tables
from core.splitting.graph import MOST_NODES, SplitGraph, check_series, split_graph
from ui.shared import naming
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.picked_feature import picked_feature, suggest_feature
from ui.splitting import charts
from ui.studies import names, opened, series_results, splitting
from ui.studies.splitting import RULES, Series

MOST_WIDER = 3
MOST_ROWS = 500


def threshold() -> float:
    """Pick the similarity over which two features belong together."""
    return st.slider(
        catalogue.statistic("match_threshold").title,
        0.0,
        1.0,
        THRESHOLD,
        0.01,
        key="split_threshold",
        bind="query-params",
        help=catalogue.help_text("match_threshold"),
    )


def of_series(draw: Callable[[Series], None], threshold: float) -> None:
    """Pick the series, and draw a tab on it if there is one."""
    series = pick(threshold)
    if series is None:
        return
    if (most := splitting.most_split(series)) is not None:
        suggest_feature(most, f"it has the most children among the {series.widths[1]:,}")
    draw(series)


def pick(threshold: float) -> Series | None:
    """Pick the wider dictionaries. If there is none, say so and return None."""
    coarse = opened.dictionary()
    listed = splitting.listed()
    usual = [entry.id for entry in listed if (entry.d_sae or 0) > coarse.d_sae][:MOST_WIDER]
    # Wider dictionaries of another dictionary are dropped.
    if st.session_state.setdefault("_split_for", coarse.id) != coarse.id:
        st.session_state["_split_for"] = coarse.id
        st.session_state["split_wider"] = usual
    ids = st.multiselect(
        "Wider dictionaries",
        [id for id in dict.fromkeys([*usual, *opened.dictionary_ids()]) if id != coarse.id],
        usual,
        key="split_wider",
        bind="query-params",
        format_func=opened.in_pickers(),
        accept_new_options=True,
        max_selections=MOST_WIDER,
        placeholder="Choose up to three, or type a path",
        help="The page follows the features of the picked dictionary into these, from the narrowest to the widest. The "
        "first choice is dictionaries that differ from it in the width alone.",
    )
    if not ids:
        narrowest_first(coarse, listed[0].id if len(listed) > 1 else None)
        return None
    wider = sorted((opened.dictionary(id) for id in ids), key=lambda dictionary: dictionary.d_sae)
    check_series([coarse, *wider])
    steps = zip([coarse, *wider], wider, strict=False)
    needed = {f"{wide.d_sae:,} features": [(coarse, wide), (narrow, wide)] for narrow, wide in steps}
    there = series_results.those_there(needed, "decoder", what="widths")
    wider = [wide for wide in wider if f"{wide.d_sae:,} features" in there]
    if not wider:
        return None
    names.of_these(wider)
    return Series((coarse, *wider), threshold)


def pick_rule() -> str:
    """Pick the rule by which children are found (one of RULES)."""
    return st.segmented_control(
        "Children",
        list(RULES),
        default=next(iter(RULES)),
        required=True,
        key="split_rule",
        bind="query-params",
        help="One parent each: a feature belongs to its nearest feature in the narrower dictionary, so the graph is a "
        "tree. All over the threshold: a feature may belong to several, because features also merge. Active "
        "together: features belong together if the masked cosine of their activations is over 0.4. This needs a "
        "token pass, and the threshold does not apply.",
    )


def narrowest_first(coarse: Dictionary, narrowest: str | None) -> None:
    """Say that no wider dictionary is chosen, and offer to begin with the narrowest of the series."""
    st.info(
        plain(f"{coarse.title} has {coarse.d_sae:,} features, and no wider dictionary is chosen. ")
        + ("Choose one above, or begin with the narrowest of its series." if narrowest else "Choose one above."),
        icon=":material/account_tree:",
    )
    if narrowest and narrowest != coarse.id:
        st.button(
            plain(f"Begin with {narrowest}"),
            key="split_narrowest",
            icon=":material/first_page:",
            on_click=lambda: st.session_state.update({"sae": narrowest, "feature": None}),
        )


def children(series: Series) -> None:
    """Draw the graph of the picked feature, and its edges as a table."""
    feature = picked_feature()
    rule = pick_rule()
    graph = split_graph(feature, splitting.links(series, rule))
    edges = tables.edge_table(graph, series.widths)
    nodes, unnamed = named_nodes(series, graph)
    headings = [f"{d.d_sae:,} features" for d in series.dictionaries]
    drawn = edges.assign(start=graph.start, end=graph.end)
    more = [f"{sum(graph.left_off):,} less similar features left out"] if any(graph.left_off) else []
    if edges.empty:
        st.info(
            f"No feature of the wider dictionary goes back to feature {feature} at this threshold. Lower it, or pick "
            "another feature.",
            icon=":material/block:",
        )
        return
    figure(
        f"What becomes of feature {feature}",
        altair(charts.split_graph(nodes, drawn, headings), "split-graph"),
        edges,
        explains=["child", "split_cosine", "promoted_tokens"],
        note=series.note(f"at most {MOST_NODES} features for each width", *more, *unnamed, rule=rule),
        name=f"splitting-{feature}",
        provenance=series.provenance_by(rule),
    )
    edge_list(series, graph, edges, nodes, rule)


def edge_list(series: Series, graph: SplitGraph, edges: pd.DataFrame, nodes: pd.DataFrame, rule: str) -> None:
    """List the edges of a graph with the names of both ends and the tokens that each child promotes."""
    called = [
        naming.names_of(series.dictionaries[level].sha256).of(feature)
        for level, feature in zip(graph.level.tolist(), graph.feature.tolist(), strict=True)
    ]
    table = edges.assign(promoted_tokens=nodes["promoted_tokens"].to_numpy()[graph.end])
    for column, name, ends in (("coarse_feature", "coarse_name", graph.start), ("child", "child_name", graph.end)):
        if any(texts := [called[end] for end in ends]):
            table.insert(table.columns.get_loc(column) + 1, name, texts)
    figure(
        "Features and their children",
        listing(table, "split-edges", height="auto" if len(table) < 12 else 420),
        table,
        explains=["coarse_feature", "child", "split_cosine"],
        note=series.note(f"{len(table):,} edges", rule=rule),
        name="splitting-edges",
        provenance=series.provenance_by(rule),
    )


def named_nodes(series: Series, graph: SplitGraph) -> tuple[pd.DataFrame, list[str]]:
    """Return the nodes with the tokens they promote, and a note if there are none."""
    nodes = tables.node_table(graph, series.widths)
    texts, why = [], []
    for level, dictionary in enumerate(series.dictionaries):
        features = graph.features(level)
        try:
            texts += splitting.promoted(dictionary, features) if len(features) else []
        except LoupeError:  # the model is missing, or no weights lead to its tokens; the graph needs neither
            texts += [[]] * len(features)
            why = ["promoted tokens are not known"]
    labels = [f"{feature}  {' '.join(tokens[:1])}" for feature, tokens in zip(nodes["feature"], texts, strict=True)]
    return nodes.assign(promoted_tokens=[" ".join(tokens) for tokens in texts], label=labels), why


def counts(series: Series) -> None:
    """Draw the number of children against width, the fate of the wider features, and the features that split most."""
    feature = picked_feature()
    betweens = splitting.from_coarse(series)
    table = tables.children_table(betweens, threshold=series.threshold)
    widths = tables.width_table(betweens, series.coarse.W_dec.shape[1], threshold=series.threshold)
    note = series.note(f"nearest of the {series.coarse.d_sae:,} features, without the dictionaries in between")
    left, right = st.columns(2, gap="medium")
    with left:
        figure(
            "Number of children against width",
            altair(charts.children_by_width(lines(table, widths, feature)), "split-by-width"),
            widths,
            explains=["n_children", "mean_children", "random_children"],
            note=note,
            name="children-by-width",
            provenance=series.provenance,
            finding=findings.splitting(table, (series.coarse.d_sae, series.widths[-1])).said,
        )
    with right:
        became = tables.became_table(betweens, threshold=series.threshold)
        figure(
            "What became of the wider dictionaries' features",
            altair(charts.became(became), "split-became"),
            became,
            explains=["match_label", "labelled_share"],
            note=note,
            name="became-by-width",
            provenance=series.provenance,
        )
    left, right = st.columns(2, gap="medium")
    with left:
        figure(
            "Numbers for each wider dictionary",
            listing(widths, "split-widths"),
            widths,
            explains=["mean_children", "childless_share", "single_child_share", "split_share"],
            note=note,
            name="children-numbers",
            provenance=series.provenance,
        )
    with right:
        most_split(series, table)


def lines(table: pd.DataFrame, widths: pd.DataFrame, feature: int) -> pd.DataFrame:
    """Return the series of the chart against width: the mean, the picked feature, chance."""
    own = table.loc[table["feature"] == feature, ["d_sae", "n_children"]]
    parts = {
        "mean of all features": widths[["d_sae", "mean_children"]].rename(columns={"mean_children": "n_children"}),
        "picked feature": own,
        "by chance": widths[["d_sae", "random_children"]].rename(columns={"random_children": "n_children"}).dropna(),
    }
    whole = pd.concat([part.assign(series=name) for name, part in parts.items()], ignore_index=True)
    return whole.astype({"n_children": float})


def most_split(series: Series, table: pd.DataFrame) -> None:
    """List the features with the most children in the widest dictionary. A click picks one."""
    wide = table[table["d_sae"] == series.widths[-1]]
    shown = wide.sort_values(["n_children", "feature"], ascending=[False, True]).head(MOST_ROWS)

    def draw() -> None:
        listing(shown, "split-most", height=300, picks="feature")()

    figure(
        "Features that split most",
        draw,
        table,
        explains=["n_children", "best_child_cosine"],
        note=series.note(
            f"children in the widest dictionary · the {len(shown):,} of {len(wide):,} features with the most",
            "click a row to pick it",
        ),
        name="split-most",
        provenance=series.provenance,
        whose={"feature": series.coarse.sha256},
    )

"""The tab Clusters: groups of features with nearby directions."""

import numpy as np
import streamlit as st

from core import tables
from core.feature_map.clusters import cluster_table
from core.feature_map.layout import LayoutSettings
from ui.feature_map import colouring
from ui.shared.figure import figure, listing
from ui.shared.picked_feature import pick_feature
from ui.studies import feature_map, opened


def clusters(settings: LayoutSettings) -> None:
    """List the clusters of the picked dictionary. A click on one finds it on the map."""
    dictionary = opened.dictionary()
    flag = f"_clusters {dictionary.sha256} {settings.side}"
    if flag not in st.session_state and colouring.known_clusters([dictionary.id], settings.side) is None:
        st.info(
            "A cluster is a group of at least three features with nearby directions. HDBSCAN finds them on a UMAP with "
            "ten dimensions. This takes longer than the map itself.",
            icon=":material/bubble_chart:",
        )
        st.button(
            "Compute the clusters",
            key="clusters_compute",
            type="primary",
            icon=":material/play_arrow:",
            on_click=lambda: st.session_state.update({flag: True}),
        )
        return
    clusters = feature_map.clusters(None, settings.side)
    table = cluster_table(clusters)
    alone = int((clusters.label < 0).sum())
    left, middle, right = st.columns(3)
    left.metric("Clusters", f"{clusters.count:,}", border=True)
    middle.metric("Median size", f"{np.median(table['cluster_size']) if len(table) else 0:.0f}", border=True)
    right.metric("Features in no cluster", f"{alone:,} ({alone / len(clusters.label):.0%})", border=True)

    def show_on_map(row: int) -> None:
        st.session_state["find"] = f"cluster {table['cluster'].iloc[row]}"
        pick_feature(table["medoid"].iloc[row])
        st.session_state["tab"] = "Map"

    figure(
        f"{clusters.count:,} clusters",
        listing(table, "clusters-table", height=560, picks=show_on_map),
        table,
        explains=["cluster", "cluster_size", "medoid"],
        note=f"{settings.side} directions · seed {clusters.seed} · similar clusters have similar numbers · "
        "click a row to see its features on the map",
        name=f"clusters-{settings.side}",
        provenance=tables.provenance(
            dictionary=dictionary,
            method="HDBSCAN on a 10-D UMAP",
            settings={"side": settings.side, "seed": clusters.seed, "min_cluster_size": clusters.min_cluster_size},
        ),
    )

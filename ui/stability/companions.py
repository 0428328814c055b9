"""The tab What goes with it: which statistics of features go with returning."""

from collections.abc import Sequence

from core import catalogue
from core.dictionaries.dictionary import Dictionary
from core.stability.companions import companions as correlated
from ui.shared.figure import altair, figure, listing
from ui.shared.later import Later
from ui.stability import charts
from ui.studies import stability


def companions(others: Sequence[Dictionary]) -> None:
    """Draw the rank correlation of the return share with statistics of the weights and, once there, of text."""
    study = stability.study(others=others)
    on_text = Later(lambda: stability.text_statistics(study.dictionary), missing="statistics of text not yet computed")
    known = stability.weight_statistics(study.dictionary) | (on_text.value or {})
    titled = {catalogue.statistic(name).title: values for name, values in known.items()}
    table = correlated(study.found.share, titled)

    def draw() -> None:
        altair(charts.companions(table), "st-companions")()
        listing(table, "st-companions-table")()

    said = [stability.said_text(study.dictionary)] if on_text.value else []
    figure(
        "Which statistics go with returning",
        draw,
        table,
        explains=["companion_correlation", "companion_low", "companion_q", "explained_share"],
        note=study.note("lines: 95 % interval · dashed: no relation", *said, *on_text.said),
        name="goes-with-returning",
        provenance=study.provenance | {"method": "rank correlations with the return share"},
    )
    on_text.draw()

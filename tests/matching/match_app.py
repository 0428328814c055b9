"""A page with one view of the matching page, for its tests; in the URL: view, a, b, i, j (features), threshold."""

import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ui.matching import joint_map, pair
from ui.shared import errors
from ui.studies import matching, opened


def main() -> None:
    st.number_input("Feature", 0, 10_000, key="feature")
    url = st.query_params
    with errors.shown():
        a, b = (opened.dictionary(url[name]) for name in "ab")
        if url["view"] == "pair":
            pair.pair(a, b, int(url["i"]), int(url["j"]))
        else:
            threshold = float(url.get("threshold", "0.7"))
            joint_map.joint(matching.study(a, b, "decoder", "one-to-one", threshold))


if __name__ == "__main__":
    main()

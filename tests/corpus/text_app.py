"""A page with the text picker alone, for its tests: it says what was sampled. In the URL: off=1 draws no picker."""

import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ui.shared import errors
from ui.shared.escape import plain
from ui.sidebar import text_picker
from ui.studies import corpus, opened


def main() -> None:
    st.selectbox("Dictionary", opened.dictionary_ids(), key="sae", bind="query-params")
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)
    if "off" not in st.query_params:
        text_picker.draw(dictionary, model)
    with errors.shown():
        found = corpus.sample(dictionary, model)
        st.text(f"{found.rows.shape} {found.rows[0].tolist()} {found.left_out}")
        st.markdown(plain(found.note))


if __name__ == "__main__":
    main()

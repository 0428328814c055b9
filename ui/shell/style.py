"""The few rules of style that Streamlit has no setting for."""

import streamlit as st

_RULES = """
/* Figures side by side need about 320 pixels each: below that, they stand under each other. */
@media (max-width: 1000px) {
  [data-testid="stMain"] [data-testid="stHorizontalBlock"] { flex-wrap: wrap; }
  [data-testid="stMain"] [data-testid="stColumn"] { min-width: min(100%, 30rem); }
}
/* Streamlit leaves 4 rem at the sides and 6 above, room that tables and charts need. */
[data-testid="stMainBlockContainer"] { padding: 2.5rem 2rem 4rem; }
/* WCAG AA asks for a contrast of 4.5 to 1. Streamlit's captions have 4.2, and white on the orange of dark pages 3.6. */
.stApp [data-testid="stCaptionContainer"] { opacity: 0.7; }
.stApp button[kind="primary"], .stApp [data-testid="stMultiSelect"] [data-tag] {
  background: light-dark(#b4380a, #c2410c);
}
/* Streamlit darkens a plain button that is open or pressed, on dark pages to a contrast of 1.8. */
.stApp button[kind="tertiary"]:is(:active, :focus, [aria-expanded="true"]) { color: light-dark(#7c2d12, #fb923c); }
/* Running text keeps its lines, and scrolls where the page is narrower. */
[class*="st-key-scrolls_"] { overflow-x: auto; }
/* The cards of Home share the width, three to a row in a window of 1,400 pixels, and are as high as their row. */
.st-key-questions { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); }
.st-key-questions > [data-testid="stLayoutWrapper"] { height: 100%; }
/* A script shows nothing, and takes no gap. */
[data-testid="stLayoutWrapper"]:has(> .st-key-script_of_history), .st-key-script_of_history { position: absolute; }
/* Work under way stays in sight at the foot of the sidebar, however long that is, on the sidebar's own ground (see
   .streamlit/config.toml). */
[data-testid="stLayoutWrapper"]:has(> .st-key-other_work) { position: sticky; bottom: 0; z-index: 1; }
.st-key-other_work:not(:empty) { background: light-dark(#faf9f7, #0b0e11); padding-block: 0.5rem; gap: 0.5rem; }
/* The picked feature stays in sight at the foot of the page. */
[data-testid="stLayoutWrapper"]:has(> .st-key-docked) { position: sticky; bottom: 0; z-index: 2; }
.st-key-docked {
  background: light-dark(#ffffff, #0f1216); border: 1px solid light-dark(#e2dfd8, #2c333d); border-radius: 8px;
  padding: 0.4rem 0.8rem; box-shadow: 0 -2px 8px rgba(0, 0, 0, 0.06);
}
/* A figure's menu saves tables and pictures. Of Streamlit's own buttons over a chart only the one for the whole screen
   stays, inside the chart, where it covers nothing of the menu. */
.stElementToolbar:has(~ [data-testid="stVegaLiteChart"]) { top: 0; }
.stElementToolbar:has(~ [data-testid="stVegaLiteChart"])
  [data-testid="stElementToolbarButton"]:not(:has([aria-label*="ullscreen"])) { display: none; }
"""


def draw() -> None:
    """Add the rules to the page; they hold nothing from outside."""
    st.html(f"<style>{_RULES}</style>")

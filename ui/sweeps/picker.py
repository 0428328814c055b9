"""Pick a plan of the store that the app reads."""

import streamlit as st

from core.sweeps.state import progress_of, summary
from core.sweeps.sweep import COMMAND, Place, Sweep
from ui.shared.escape import plain

HOW = (
    'A sweep is a file such as\n\n```text\ndictionaries = ["demo/layer2-standard-*"]\n'
    'analyses = ["activations", "positions", "logit_weights", "neighbors", "matching"]\n```\n\n'
    f"and two commands: `{COMMAND} plan sweep.toml` says what it would take, and `{COMMAND} run sweep.toml` does it. "
    "Other pages then find the results; docs/scale.md has more."
)


def pick(place: Place) -> Sweep | None:
    """Pick a stored plan; say how to make one where there is none."""
    plans = dict(place.plans())
    if not plans:
        st.info("There is no plan in the store of this app.", icon=":material/grid_off:")
        st.markdown(HOW)
        return None
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    name = left.selectbox(
        "Plan",
        list(plans),
        key="sweep",
        bind="query-params",
        format_func=lambda name: f"{plans[name].title} ({name})",
    )
    right.button("Look again", key="sweep_again", icon=":material/refresh:", width="stretch")
    sweep = Sweep(plans[name], place)
    said = summary(progress_of(sweep.plan, place.store, place.documents))
    st.markdown(plain(f"{said} · {len(sweep.plan.dictionaries):,} dictionaries, {len(sweep.plan.tasks):,} tasks"))
    return sweep

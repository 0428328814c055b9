"""The tab New run: a form, what the run will cost, and the button that starts it."""

from dataclasses import MISSING, fields

import streamlit as st

from core.amounts import of_bytes, of_seconds
from core.corpus.samples import DATASET, FILES, LIBRARY
from core.errors import BadSettingError
from core.training.settings import TextSettings, TrainingSettings, from_table
from core.training.types import TYPES
from ui.shared import errors
from ui.shared.escape import plain
from ui.studies import compute, training

STARTED = "_training_started"
"""The name of a run that this session has just started."""
_SOURCES = {"Standard library": LIBRARY, "File or folder": FILES, "Dataset": DATASET}
_LABELS = {
    "l1_coefficient": "L1 coefficient",
    "l0_coefficient": "L0 coefficient",
    "aux_loss_coefficient": "Weight of the auxiliary loss",
    "mean_weight": "Weight of the mean cosine",
    "nearest_weight": "Weight of the nearest cosines",
    "largest_weight": "Weight of the largest cosine",
    "warm_up_steps": "Steps of its warm-up",
    "init_threshold": "First threshold",
    "widths": "Widths, rising to all features",
}
_MOST = 10**9


def new_run() -> None:
    """Draw the form, its cost and the button."""
    settings = _pick()
    _card(settings)
    if st.button("Start training", type="primary", icon=":material/play_arrow:", key="tr_start"):
        with st.spinner("Starting"):
            st.session_state[STARTED] = training.start(settings).name
        st.rerun()


def _pick() -> TrainingSettings:
    """Draw the fields and return what they say. Raises LoupeError for what cannot be trained."""
    first, second = st.columns(2, gap="large")
    with first:
        name = st.selectbox(
            "Model",
            training.models(),
            key="tr_model",
            bind="query-params",
            help="It runs while the dictionary is trained.",
        )
        hooks = training.model(name).hook_names()
        at = hooks.index(training.usual_hook(hooks))
        hook = st.selectbox(
            "Hook",
            hooks,
            index=at,
            key="tr_hook",
            bind="query-params",
            help="What the dictionary reads and reconstructs.",
        )
        text = _text()
    with second:
        kind = st.selectbox(
            "Type", list(TYPES), key="tr_type", bind="query-params", format_func=lambda one: TYPES[one].TITLE
        )
        with st.container(horizontal=True):
            d_sae = _whole("Features", "tr_d_sae", 2048, most=2**24, help="The width of the dictionary, d_sae.")
            tokens = _whole("Tokens", "tr_tokens", 1_000_000, most=10**11, help="What each dictionary is trained on.")
        options = _options(kind)
        seeds = st.text_input(
            "Seeds",
            "0",
            max_chars=200,
            key="tr_seeds",
            bind="query-params",
            help="One dictionary for each, such as 0, 1, 2. The model runs once for all of them.",
        )
        more = _more()
    wanted = training.free_name(f"{hook.replace('blocks.', 'layer').replace('.hook_', '-')}-{kind}-{d_sae}")
    title = st.text_input(
        "Name", max_chars=80, key="tr_name", bind="query-params", placeholder=wanted, help="Of the run and its folder."
    )
    table = {"name": title.strip() or wanted, "model": name, "hook_name": hook, "d_sae": d_sae, "type": kind}
    table |= {"seeds": whole_numbers(seeds, "seeds"), "training_tokens": tokens, "options": options, "text": text}
    return from_table(table | more)


def whole_numbers(text: str, name: str) -> list[int]:
    """Return the numbers of a text such as '0, 1, 2'. Raises BadSettingError."""
    parts = text.replace(",", " ").split()
    if not all(part.isascii() and part.isdigit() and len(part) < 12 for part in parts):
        raise BadSettingError(f"{name} are {text[:100]!r}; expected whole numbers such as 0, 1, 2. Correct them.")
    return [int(part) for part in parts]


def _options(kind: str) -> dict:
    """Draw the fields of a type, from its dataclass."""
    found = {}
    with st.container(horizontal=True):
        for one in fields(TYPES[kind]):
            label, key = _LABELS.get(one.name, one.name.replace("_", " ").capitalize()), f"tr_{kind}_{one.name}"
            assert one.default is not MISSING
            if one.type is int:
                found[one.name] = _whole(label, key, one.default)
            elif one.type is float:
                value = st.number_input(
                    label, 0.0, float(_MOST), float(one.default), key=key, format="%g", width=170, bind="query-params"
                )
                found[one.name] = float(value)
            else:
                typed = st.text_input(
                    label, max_chars=200, key=key, bind="query-params", placeholder="a sixteenth, a quarter, all"
                )
                found[one.name] = whole_numbers(typed, one.name)
    return found


def _whole(label: str, key: str, value: int, *, most: int = _MOST, help: str | None = None) -> int:
    return int(st.number_input(label, 0, most, value, key=key, help=help, width=170, bind="query-params"))


def _text() -> dict:
    """Draw the fields of the text."""
    usual = TextSettings()
    source = _SOURCES[st.selectbox("Text", list(_SOURCES), key="tr_source", bind="query-params")]
    text: dict = {"source": source}
    if source != LIBRARY:
        typed = st.text_input(
            "Path" if source == FILES else "Name of a downloaded dataset",
            max_chars=1_024,
            key=f"tr_{source}",
            bind="query-params",
        ).strip()
        if not typed:
            raise BadSettingError("No text is named. Expected a path or a dataset that was downloaded; type it.")
        text["name"] = str(compute.workspace().allowed_path(typed)) if source == FILES else typed
    with st.container(horizontal=True):
        text["context"] = _whole("Tokens in a row", "tr_context", usual.context, most=2**20)
        text["repeats"] = _whole("Times it may be read", "tr_repeats", usual.repeats, most=10_000)
        text["seed"] = _whole("Seed of its order", "tr_text_seed", usual.seed, most=2**31)
    text["bos"] = st.toggle("Every row begins with BOS", usual.bos, key="tr_bos", bind="query-params")
    text["special"] = st.toggle("Train on special tokens too", usual.special, key="tr_special", bind="query-params")
    if source == DATASET:
        text["megabytes"] = _whole("Megabytes that were downloaded", "tr_megabytes", usual.megabytes, most=2**16)
    return text


def _more() -> dict:
    """Draw the fields that few people change."""
    usual = {one.name: one.default for one in fields(TrainingSettings)}
    with st.expander("Optimizer, checkpoints and W&B", icon=":material/tune:"):
        with st.container(horizontal=True):
            lr = st.number_input(
                "Learning rate", 0.0, 10.0, usual["lr"], key="tr_lr", bind="query-params", format="%g", width=170
            )
            found = {
                name: _whole(label, f"tr_{name}", usual[name])
                for name, label in {
                    "batch_tokens": "Tokens in a batch",
                    "buffer_tokens": "Tokens in the buffer",
                    "dead_after": "Dead after steps",
                    "checkpoint_steps": "Steps to a checkpoint",
                }.items()
            }
        fast = st.toggle(
            "Products in bfloat16",
            usual["autocast"],
            key="tr_autocast",
            bind="query-params",
            help="Faster, less exact.",
        )
        project = st.text_input(
            "Project at Weights & Biases",
            max_chars=100,
            key="tr_wandb",
            bind="query-params",
            placeholder="empty: nothing is sent",
            help="Curves and results go there by sae-lens' own logger, if this machine is logged in.",
        )
    return {"lr": float(lr), "autocast": fast, "wandb_project": project.strip(), **found}


def _card(settings: TrainingSettings) -> None:
    """Say what the run will cost."""
    with errors.shown(stop=True):
        cost = training.cost(settings)
    n = len(settings.seeds)
    with st.container(border=True):
        st.markdown("**What it will cost**")
        columns = st.columns(4)
        columns[0].metric("Time, about", of_seconds(cost.seconds), help="If the machine does nothing else.")
        columns[1].metric("Memory, about", of_bytes(cost.memory_bytes), help="Without the language model.")
        columns[2].metric("Disk, at most", of_bytes(cost.disk_bytes), help="Checkpoints and results.")
        columns[3].metric("Steps", f"{cost.steps:,}", help=f"Of {settings.batch_tokens:,} tokens each.")
        what = f"{n} {'dictionary' if n == 1 else 'dictionaries'} of {settings.d_sae:,} features"
        st.caption(plain(f"{what}, each trained on {cost.tokens:,} tokens. The run goes on without this page."))

"""Where the token pass meets Streamlit: its cost, the pass as a job, and what its store holds afterwards."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from jaxtyping import Bool

from core import tables
from core.activations.quantiles import DECILES, ActivationQuantiles, wanted_quantiles
from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationStore, FeatureActivations, counted, feature_activations, on_device
from core.activations.token_pass import PassCost, activation_pass, estimate_cost, open_store, pass_device
from core.amounts import of_bytes, of_seconds
from core.corpus.samples import SampleSettings, TextSample
from core.corpus.streams import rows_sha256
from core.devices.device import CPU, Device, DeviceError
from core.dictionaries.dictionary import Dictionary
from core.models.embeddings import TRAINED
from core.models.language_model import LanguageModel
from core.work.calls import call, silent_call
from ui.shared import progress as shared_progress
from ui.shared.errors import StillRunning
from ui.shared.escape import plain
from ui.studies import audit, compute, corpus, opened, strongest

_KIND = "statistics of activations"
_GOING_ON = "_passes_going_on"
"""Where the session keeps what goes on with passes whose device failed, by their key on the CPU."""
AT_ONCE_S, AT_ONCE_BYTES = 10.0, 200e6
"""A pass that takes no more than this starts by itself."""


@dataclass(frozen=True, eq=False)
class TokenPass:
    """A dictionary on text: its statistics, and its activations on disk."""

    dictionary: Dictionary
    model: LanguageModel
    sample: TextSample
    store: ActivationStore
    statistics: ActivationStatistics
    device: Device = CPU
    """What ran the model and encoded."""
    whole: bool = True
    """Whether it is over all rows of the chosen text; the first views of a page rest on some of them."""

    @property
    def hashes(self) -> tuple[str, str, str]:
        """What names results of this pass: the dictionary, the model and where it ran, and the tokens."""
        return self.dictionary.sha256, on_device(self.model.sha256, self.device), self.rows_sha256

    @property
    def rows_sha256(self) -> str:
        return rows_sha256(self.sample.rows)

    @property
    def counted(self) -> Bool[np.ndarray, "row pos"]:
        """Which tokens the statistics count."""
        return counted(self.sample.rows, self.sample.left_out)

    @property
    def name(self) -> str:
        """The inputs that name results of this pass: dictionary, model, tokens, and what is not counted."""
        return " ".join([*self.hashes, str(self.sample.left_out)])

    @property
    def note(self) -> str:
        """n and settings, for the notes under figures."""
        return f"{self.statistics.n_tokens():,} tokens: {self.text}"

    @property
    def text(self) -> str:
        """The text, and what ran over it where that was not the CPU."""
        return " · ".join([self.sample.note, *self.device.inputs.values()])

    @property
    def density(self) -> np.ndarray:
        """Return the share of counted tokens on which each feature is active."""
        return self.statistics.count.sum(axis=0) / self.statistics.n_tokens()

    @property
    def told(self) -> dict[str, object]:
        """Return what the same in Python needs of the text (see ui.shared.same_in_python); nothing in part of it."""
        return {"text": self.sample.settings} if self.whole and self.model.wpe == TRAINED else {}

    def provenance(self, **more: str | int | float | bool | None) -> dict:
        """Return what a download says of where its numbers are from."""
        settings = {"text": self.sample.note, "rows_sha256": self.rows_sha256, "wpe": self.model.wpe}
        settings |= self.device.inputs
        return tables.provenance(
            dictionary=self.dictionary, model=self.model, method="token pass", settings=settings | more
        )


def token_pass(id: str | None = None, settings: SampleSettings | None = None, *, wpe: str | None = None) -> TokenPass:
    """Return the pass of a dictionary (by default the picked one) over text (by default what the picker says).

    Starts a pass that is not stored: a short one at once, a longer one when a person has seen its cost and presses the
    button. Raises StillRunning meanwhile, and LoupeError.
    """
    dictionary = opened.dictionary(id)
    model = opened.model_of(dictionary, wpe=wpe)
    return pass_over(dictionary, model, corpus.sample(dictionary, model, settings))


def pass_over(
    dictionary: Dictionary, model: LanguageModel, sample: TextSample, *, ask: bool = True, label: str = ""
) -> TokenPass:
    """Return the pass of a dictionary over these rows, as `token_pass` does. Without `ask` it always starts at once.

    `label` is the text before its progress.
    """
    label = label or f"Token pass of {dictionary.title}"
    device, left_out = device_for(dictionary, model, sample), sample.left_out
    how = {"left_out": left_out, "device": device}
    store = open_store(dictionary, model, sample.rows, compute.store(), **how)
    key, missing = _statistics_key(dictionary, model, sample, device), store.missing()
    if missing:
        compute.check_may_compute(label)
        if ask:
            _agree(dictionary, model, sample, len(missing) / len(store), key)

    work = call(activation_pass, dictionary, model, sample.rows, compute.store(), **how)
    try:
        if missing:
            do = compute.placed(work)
            statistics = shared_progress.run(compute.jobs(), f"pass-{key}", label, do, unit="tokens", resumes=True)
        else:
            statistics = compute.result(ActivationStatistics, key, label, work)
    except DeviceError:
        on_cpu = _statistics_key(dictionary, model, sample, CPU)
        st.session_state.setdefault(_GOING_ON, {})[on_cpu] = store.going_on()
        raise
    compute.latest(_KIND)[dictionary.sha256] = key
    passed = TokenPass(dictionary, model, sample, store, statistics, device)
    audit.note_text(sample)
    strongest.follow(store, statistics, passed.hashes, left_out)
    return passed


def latest(dictionary: Dictionary) -> ActivationStatistics | None:
    """Return the statistics of the latest pass over a dictionary that a page has asked for; None if there is none."""
    key = compute.latest(_KIND).get(dictionary.sha256)
    return compute.stored(ActivationStatistics, key) if key else None


def device_for(dictionary: Dictionary, model: LanguageModel, sample: TextSample) -> Device:
    """Return where a pass is best run. On the CPU, one that another device failed in goes on behind its last block."""
    device = pass_device(dictionary, sample.rows, compute.device())
    if device != CPU or compute.at_hand(_statistics_key(dictionary, model, sample, CPU)):
        return device
    return st.session_state.get(_GOING_ON, {}).get(_statistics_key(dictionary, model, sample, CPU), CPU)


def pass_key(dictionary: Dictionary, model: LanguageModel, sample: TextSample) -> str:
    """Name the statistics of a pass, as `pass_over` stores them."""
    return _statistics_key(dictionary, model, sample, device_for(dictionary, model, sample))


def _statistics_key(dictionary: Dictionary, model: LanguageModel, sample: TextSample, device: Device) -> str:
    names = dictionary.sha256, model.sha256, rows_sha256(sample.rows)
    return ActivationStatistics.key(*names, left_out=sample.left_out, device=device)


def _agree(dictionary: Dictionary, model: LanguageModel, sample: TextSample, share: float, key: str) -> None:
    """Show the cost of a pass. Go on if it is short, a person agreed, or it runs already. `share` of it is missing."""
    if st.session_state.get(f"_agreed_{key}") or f"_job_pass-{key}" in st.session_state:
        return
    whole = cost(dictionary, model, sample)
    if whole.seconds * share <= AT_ONCE_S and whole.nbytes * share <= AT_ONCE_BYTES:
        return
    if shared_progress.is_in_background():  # where nothing is drawn
        raise StillRunning("The token pass waits for the button.")
    _card(whole, share, sample)
    st.button(
        "Run the token pass",
        key=f"run-{key}",
        type="primary",
        icon=":material/play_arrow:",
        on_click=lambda: st.session_state.update({f"_agreed_{key}": True}),
    )
    raise StillRunning("The token pass waits for the button.")


def cost(dictionary: Dictionary, model: LanguageModel, sample: TextSample) -> PassCost:
    """Estimate what a pass over all of these rows takes, from a few tokens."""

    device = device_for(dictionary, model, sample)
    work = silent_call(estimate_cost, dictionary, model, sample.rows, left_out=sample.left_out, device=device)
    key = f"cost {dictionary.sha256} {on_device(model.sha256, device)} {rows_sha256(sample.rows)} {sample.left_out}"
    return compute.transient(key, "Looking at a few tokens", work)


def _card(cost: PassCost, share: float, sample: TextSample) -> None:
    with st.container(border=True):
        st.markdown("**All views of activations need one pass over the text**")
        cards = st.container(horizontal=True)
        cards.metric("Tokens", f"{cost.n_tokens:,}")
        cards.metric("On disk", of_bytes(cost.nbytes * share))
        cards.metric(
            "Time", of_seconds(cost.seconds * share), help="An estimate for this machine, from about 512 tokens."
        )
        cards.metric("Active features a token", f"{cost.l0:,.1f}")
        there = f" {1 - share:.0%} of it is stored already." if share < 1 else ""
        st.caption(plain(f"{sample.note}.{there} You can stop it at any time; it continues from there."))


def quantiles(
    passed: TokenPass, *, levels: tuple[float, ...] = DECILES, with_first: bool = True
) -> ActivationQuantiles:
    """Return quantiles of all features' non-zero activations."""
    how = {"levels": levels, "with_first": with_first}
    return compute.wanted(wanted_quantiles(passed.store, passed.statistics, passed.hashes, **how))


def of_feature(passed: TokenPass, feature: int) -> FeatureActivations:
    """Return where one feature is active."""
    return of_store(passed.store, passed.dictionary, feature)


def of_store(store: ActivationStore, dictionary: Dictionary, feature: int) -> FeatureActivations:
    """Return one feature's activations. They stay in memory, because reading them goes through the whole store."""
    key = f"activations of {feature} in {' '.join(store.keys)}"
    return compute.loaded().get(key, lambda: feature_activations(store, feature, d_sae=dictionary.d_sae))

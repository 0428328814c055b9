"""Whether the model can read the chosen text: its own loss on a few rows, measured while nothing else is computed."""

from collections.abc import Callable
from contextlib import suppress

import streamlit as st

from core.activations.own_loss import OwnLoss, can_read, few_rows, own_loss, said
from core.activations.spliced_loss import RUNS_SPLICED, SplicedLoss
from core.corpus.samples import TextSample
from core.corpus.streams import rows_sha256
from core.devices.device import CPU, Device, DeviceError
from core.dictionaries.dictionary import Dictionary
from core.errors import CancelledError, LoupeError
from core.models.batches import model_device
from core.models.language_model import LanguageModel
from core.models.running import weights_nbytes
from core.work.calls import call
from core.work.jobs import Jobs
from core.work.progress import Progress
from ui.shared.escape import plain
from ui.shared.garbage import spare_modules
from ui.studies import compute

ASK_BYTES = 2e9
"""On a model with no more bytes of weights than this, the measurement starts by itself."""
LABEL = "The model's own loss"


def draw(dictionary: Dictionary, model: LanguageModel, sample: TextSample) -> None:
    """Draw the loss in the sidebar if it is stored, else have it measured. Never waits for it."""
    if not model.whole or sample.rows.shape[1] < 2:
        return
    found = stored(dictionary, model, sample)
    if found is not None:
        _say(found, model)
        return
    key, agreed = _key(model, sample), f"_own_loss_{_key(model, sample)}"
    if weights_nbytes(model.config) > ASK_BYTES and not st.session_state.get(agreed):
        st.button(
            "Can the model read this text?",
            key="own_loss_ask",
            icon=":material/play_arrow:",
            help="Runs the model on a few rows and compares its loss with that of a guess among all tokens.",
            on_click=lambda: st.session_state.update({agreed: True}),
        )
        return
    seen = f"_own_loss_seen_{key}"

    @st.fragment(run_every=2)
    def watch() -> None:
        spare_modules()
        if compute.at_hand(key):
            st.rerun()
        # Not on the first run of a page: its own work goes first.
        if st.session_state.get(seen):
            _measure(key, model, sample)
        st.session_state[seen] = True

    watch()


def expect(ready: Callable[[], bool]) -> None:
    """Run the page once more when the rows that it makes are at hand. Nothing is computed for it."""

    @st.fragment(run_every=2)
    def watch() -> None:
        with suppress(LoupeError):  # the page shows it
            if ready():
                st.rerun()

    watch()


def stored(dictionary: Dictionary, model: LanguageModel, sample: TextSample) -> float | None:
    """Return the loss on the sample if any page has computed it: on all rows, else on the first ones."""
    names = dictionary.sha256, model.sha256, rows_sha256(sample.rows)
    for device in dict.fromkeys((_device(model, RUNS_SPLICED * sample.rows.size), CPU)):
        whole = SplicedLoss.key(*names, left_out=sample.left_out, device=device)
        if (of_all := compute.stored(SplicedLoss, whole, LABEL)) is not None:
            return of_all.totals()["ce"]
    of_first = compute.stored(OwnLoss, _key(model, sample), LABEL)
    return None if of_first is None else of_first.ce


def _measure(key: str, model: LanguageModel, sample: TextSample) -> None:
    """Queue the measurement while nothing else runs; say what it raised."""
    jobs, failed = compute.jobs(), f"_own_loss_failed_{key}"
    if failed in st.session_state:
        st.caption(plain(f"{LABEL} on this text is not known. {st.session_state[failed]}"))
        return
    st.caption(f"{LABEL} on this text is being measured.")
    name = f"_own_loss_job_{key}"
    if (job := st.session_state.get(name)) is not None:
        if not job.finished_within(0):
            return
        del st.session_state[name]
        try:
            compute.loaded().get(key, job.result, name=LABEL)
            st.rerun()
        except CancelledError:  # it gave way; once more when nothing else runs
            pass
        except LoupeError as error:
            st.session_state[failed] = str(error)
            return
    if not jobs.busy():
        rows, device = few_rows(sample.rows), _device(model, few_rows(sample.rows).size)
        work = call(own_loss, model, rows, left_out=sample.left_out, device=device)
        do = compute.keeping(OwnLoss, key, work)
        st.session_state[name] = jobs.submit(key, LABEL, lambda progress: do(_GivesWay(progress, jobs)))


class _GivesWay:
    """Progress that ends the measurement when a page's work waits."""

    def __init__(self, progress: Progress, jobs: Jobs):
        self._progress, self._jobs = progress, jobs

    def update(self, done: int, total: int) -> None:
        self._give_way()
        self._progress.update(done, total)

    def note(self, text: str) -> None:
        self._give_way()
        self._progress.note(text)

    def _give_way(self) -> None:
        if self._jobs.awaited():
            raise CancelledError(f"{LABEL} gives way to the work of a page.")


def _key(model: LanguageModel, sample: TextSample) -> str:
    rows = few_rows(sample.rows)
    return OwnLoss.key(model.sha256, rows_sha256(rows), left_out=sample.left_out, device=_device(model, rows.size))


def _device(model: LanguageModel, n_tokens: int) -> Device:
    """Return where the model is best run on so many tokens; the CPU where the chosen device is not there."""
    try:
        return model_device(model, n_tokens, compute.device())
    except DeviceError:
        return CPU


def _say(ce: float, model: LanguageModel) -> None:
    if can_read(ce, model.d_vocab):
        st.caption(plain(said(ce, model.d_vocab)))
    else:
        st.warning(plain(said(ce, model.d_vocab)), icon=":material/warning:")

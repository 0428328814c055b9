"""The health badge: checks on a few thousand tokens of a text that every machine has."""

import json
import math
from contextlib import nullcontext, suppress

import streamlit as st

from core import catalogue
from core.activations.spliced_loss import SplicedLoss, spliced_loss
from core.corpus.samples import SampleSettings, TextSample, sample_of
from core.corpus.streams import rows_sha256
from core.dictionaries.config import check_reconstructs
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from core.models.running import weights_nbytes
from core.overview.health import BROKEN, HEALTHY, RULES, SUSPICIOUS, UNJUDGED, Health, HealthLine, judge
from core.overview.probe import RecipeProbe, expected_l0, probe_recipes
from core.work.calls import call
from ui.shared import errors
from ui.shared.errors import NotStored
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.studies import compute, corpus, opened, token_pass
from ui.studies.token_pass import TokenPass

ROWS, LONGEST = 32, 128
"""The sample: this many rows, as long as the training context but no longer than this many tokens."""
LOSS_ROWS = 8
"""Rows of the sample on which the model runs with the reconstruction in place, five runs in all."""
ASK_BYTES = 2e9
"""On a model with no more bytes of weights than this, the sample starts by itself."""
_COLOURS = {HEALTHY: "green", SUSPICIOUS: "orange", BROKEN: "red", UNJUDGED: "gray"}
_ICONS = {HEALTHY: ":material/check_circle:", SUSPICIOUS: ":material/help:", BROKEN: ":material/cancel:"}
_ICONS[UNJUDGED] = ":material/question_mark:"


def badge(dictionary: Dictionary) -> None:
    """Run the sample and draw the badge (raises LoupeError, StillRunning).

    The loss takes longest, so the badge is drawn before it and once more with it.
    """
    check_reconstructs(dictionary.config, dictionary.title)
    model = opened.model_of(dictionary)
    compute.expect_model_run()
    ask = weights_nbytes(model.config) > ASK_BYTES
    passed = token_pass.pass_over(dictionary, model, sample(dictionary, model), ask=ask)
    probe, place = recipe_probe(passed), st.empty()
    loss = stored_loss(passed)
    draw_health(place, passed, probe, loss)
    if loss is None:
        with errors.shown():
            draw_health(place, passed, probe, loss_recovered(passed))
    with st.expander("How the badge is judged, and other ways of feeding the dictionary", icon=":material/rule:"):
        st.markdown(plain(RULES))
        other_recipes(probe, passed)


def whole(dictionary: Dictionary) -> Health:
    """Return the verdict with its loss (raises LoupeError, StillRunning). A large model is not run for it."""
    check_reconstructs(dictionary.config, dictionary.title)
    model = opened.model_of(dictionary)
    with compute.only_stored() if weights_nbytes(model.config) > ASK_BYTES else nullcontext():
        passed = token_pass.pass_over(dictionary, model, sample(dictionary, model), ask=False)
        probe, loss = recipe_probe(passed), loss_recovered(passed)
    return judge(passed.statistics, probe, dictionary.origin.published, loss.totals(), d_vocab=model.d_vocab)


def brief(health: Health) -> None:
    """Draw verdict and numbers in a few lines."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(health.verdict.capitalize(), color=_COLOURS[health.verdict], icon=_ICONS[health.verdict])
        for line in health.lines:
            st.markdown(plain(f"{catalogue.statistic(line.name).title} {written(line.name, line.value)}"))
    said = " ".join([*health.reasons, *(suspicion.name for suspicion in health.suspicions)])
    st.caption(plain(said or f"Measured on {health.n_tokens:,} tokens of the Python standard library."))


def draw_health(place, passed: TokenPass, probe: RecipeProbe, loss: SplicedLoss | None) -> None:
    """Draw verdict, numbers and suspicions into a placeholder, replacing its content."""
    totals, published = loss.totals() if loss else None, passed.dictionary.origin.published
    health = judge(passed.statistics, probe, published, totals, d_vocab=passed.model.d_vocab)
    with place.container():
        verdict(health, passed, final=loss is not None)
        readings(health)
        for suspicion in health.suspicions:
            st.warning(
                f"**{plain(suspicion.name)}.** {plain(suspicion.evidence)}  \n{plain(suspicion.next_step)}",
                icon=":material/troubleshoot:",
            )


def stored_loss(passed: TokenPass) -> SplicedLoss | None:
    """Return the loss if it was computed before."""
    with suppress(NotStored), compute.only_stored():
        return loss_recovered(passed)


def sample(dictionary: Dictionary, model: LanguageModel) -> TextSample:
    """Return the rows of the badge. They do not depend on the text picker, so badges can be compared."""
    stream = corpus.some_of_library(model)
    context = min(dictionary.config.context_size or LONGEST, LONGEST, model.n_ctx)
    settings = SampleSettings(n_rows=ROWS, context=context)
    return sample_of(stream.tokens, stream.title, dictionary.config, model, settings, stream.unread)


def recipe_probe(passed: TokenPass) -> RecipeProbe:
    """Return the variance explained when the dictionary is fed in other ways."""
    expected, left_out = expected_l0(passed.dictionary), passed.sample.left_out
    given = passed.dictionary, passed.model, passed.sample.rows
    work = call(probe_recipes, *given, expected_l0=expected, left_out=left_out)
    key = RecipeProbe.key(*passed.hashes, expected_l0=expected, left_out=left_out)
    return compute.result(RecipeProbe, key, "Trying other ways of feeding the dictionary", work)


def loss_recovered(passed: TokenPass) -> SplicedLoss:
    """Return the model's loss with the reconstruction in place, on the first rows of the sample."""
    rows, how = passed.sample.rows[:LOSS_ROWS], {"left_out": passed.sample.left_out, "device": passed.device}
    work = call(spliced_loss, passed.dictionary, passed.model, rows, **how)
    key = SplicedLoss.key(passed.dictionary.sha256, passed.model.sha256, rows_sha256(rows), **how)
    return compute.result(SplicedLoss, key, "Loss with the reconstruction in place", work)


def verdict(health: Health, passed: TokenPass, *, final: bool) -> None:
    """Draw the verdict in one word, what was checked, and the download."""
    head = st.container(horizontal=True, vertical_alignment="center")
    head.markdown("### Health")
    head.badge(health.verdict.capitalize(), color=_COLOURS[health.verdict], icon=_ICONS[health.verdict])
    head.download_button(
        "JSON",
        lambda: as_json(health, passed),
        "health.json",
        "application/json",
        key="health_json" if final else "health_json_before_loss",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )
    if health.reasons:
        st.markdown(plain(" ".join(health.reasons)))
    about = f"On {passed.note}; loss on the first {LOSS_ROWS} rows."
    st.caption(plain(f"{about} Published numbers are from other text and never quite equal."))


def readings(health: Health) -> None:
    """Draw the numbers beside what is published, and below them the same numbers without the first token."""
    cards = st.container(horizontal=True)
    for line in health.lines:
        item = catalogue.statistic(line.name)
        title = f"{item.title} on {health.n_tokens:,} tokens" if line.name == "dead_share" else item.title
        cards.metric(
            title,
            written(line.name, line.value),
            beside(line),
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
            help=catalogue.help_text(line.name),
        )
    st.caption(plain(f"Without position 0: {without_first(health)}"))
    if any(line.name == "dead_share" and not math.isnan(line.published) for line in health.lines):
        st.caption(
            "Dead features are not comparable: the published share is of other text, usually far more of it. On few "
            "tokens, rare features seem dead."
        )
    if not math.isnan(health.ce):
        own = f"The model's own loss on this text is {health.ce:.2f} nats a token"
        st.caption(plain(f"{own}; a guess among all tokens has {health.guess:.2f}, which is ln(vocabulary)."))


def beside(line: HealthLine) -> str:
    """Say which number is published, or that none is."""
    return "not published" if math.isnan(line.published) else f"published {written(line.name, line.published)}"


def without_first(health: Health) -> str:
    """Return the same numbers without position 0, in one sentence."""
    known = [line for line in health.lines if not math.isnan(line.without_first)]
    return " · ".join(
        f"{catalogue.statistic(line.name).title} {written(line.name, line.without_first)}" for line in known
    )


def written(name: str, value: float) -> str:
    """Format a number as the catalogue says."""
    return "none" if math.isnan(value) else format(value, catalogue.statistic(name).format)


def other_recipes(probe: RecipeProbe, passed: TokenPass) -> None:
    """List how much each way of feeding the dictionary explains."""
    table = probe.to_frame()
    figure(
        "Variance explained when it is fed in other ways",
        listing(table, "recipes"),
        table,
        explains=["recipe", "recipe_fve"],
        note=f"{probe.n_tokens:,} tokens from the beginnings of rows, without position 0 and {probe.n_outliers} tokens "
        "of large norm",
        name="recipes",
        provenance=passed.provenance(),
    )


def as_json(health: Health, passed: TokenPass) -> str:
    """Return the verdict with all numbers behind it, as JSON; unknown numbers are null."""

    def known(value: float) -> float | None:
        return None if math.isnan(value) else value

    lines = [
        {
            "name": line.name,
            "value": known(line.value),
            "without_first": known(line.without_first),
            "published": known(line.published),
            "verdict": line.verdict,
            "reason": line.reason,
        }
        for line in health.lines
    ]
    suspicions = [vars(suspicion) for suspicion in health.suspicions]
    own = {"ce": known(health.ce), "ce_of_a_guess": health.guess}
    judged = {"verdict": health.verdict, "model": own, "numbers": lines, "suspicions": suspicions}
    return json.dumps(judged | {"rules": RULES, "provenance": passed.provenance()}, indent=1)

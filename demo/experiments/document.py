"""Write docs/experiments.md and its figures from the file of numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from core.installation import APP_VERSION, PROJECT
from demo.experiments import charts, numbers
from demo.experiments.answers import (
    Estimate,
    arm_at_l0,
    curve_table,
    difference,
    estimate,
    of,
    peaks,
    pooled,
    shares_by_change,
    sparsest,
)
from demo.experiments.asked import GATED, L1, PENALTIES, PLAN, RESCALED
from demo.experiments.numbers import Numbers
from demo.experiments.plan import Arm, Plan
from demo.report import table
from ui.shared.finish import finished
from ui.shared.pictures import specification, to_svg

DOCUMENT = PROJECT / "docs" / "experiments.md"
Entries = Sequence[Mapping[str, Any]]
_COST = {"fve": "variance explained", "ce_recovered": "loss recovered"}


def said(found: Estimate, digits: int = 3) -> str:
    """Return a mean with its interval, such as 0.821 (0.819 to 0.823)."""
    if found.low != found.low:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def more(found: Estimate, digits: int = 3) -> str:
    """Return a difference in words, with its interval."""
    if not found.sure:
        return f"no difference that {found.n} seeds show ({found.low:+.{digits}f} to {found.high:+.{digits}f})"
    ends = sorted(abs(end) for end in (found.low, found.high))
    word = "more" if found.mean > 0 else "less"
    return f"{abs(found.mean):.{digits}f} {word} ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})"


def arms_table(by_arm: Mapping[str, Entries], columns: Mapping[str, tuple[str, int]]) -> str:
    """Return a table with a line for each arm and a column for each number."""
    lines = [
        [title, *(said(of(entries, name), digits) for name, (_, digits) in columns.items())]
        for title, entries in by_arm.items()
    ]
    return table(["", *(title for title, _ in columns.values())], lines)


def _listed(values: Sequence[float]) -> str:
    *first, last = (f"{value:.2f}" for value in values)
    return " and ".join(filter(None, [", ".join(first), last]))


def penalty_text(by_arm: Mapping[str, Entries], sparse: Mapping[str, Entries]) -> str:
    """Return the answer on the orthogonality penalty, from arms at one L0 and from their dictionaries themselves."""
    (plain, base), *others = by_arm.items()
    lines = []
    for title, entries in sparse.items():
        found = peaks(pooled(entries))
        lines.append(
            f"- **{title}**: {'a peak' if len(found) == 1 else 'peaks'} at {_listed(found)}. The largest cosine of all "
            f"is {said(of(entries, 'largest_cosine'))}, L0 {said(of(entries, 'l0'), 1)}."
        )
    for title, entries in others:
        cost = "; ".join(f"{word} {more(difference(entries, base, name))}" for name, word in _COST.items())
        lines.append(f"- **The cost of {title}**, against {plain} at the same L0: {cost}.")
    return "\n".join(lines)


def gate_text(by_arm: Mapping[str, Entries]) -> str:
    """Return the answer on the gate."""
    (l1, rescaled, gated) = by_arm.values()
    lines = []
    for title, entries, base, other in (
        ("Rescaled ReLU", rescaled, l1, "L1"),
        ("Gated", gated, l1, "L1"),
        ("Gated", gated, rescaled, "rescaled ReLU"),
    ):
        gain = "; ".join(f"{word} {more(difference(entries, base, name))}" for name, word in _COST.items())
        lines.append(f"- **{title} against {other}**: {gain}.")
    share = [(r["fve"] - a["fve"]) / (g["fve"] - a["fve"]) for a, r, g in zip(l1, rescaled, gated, strict=True)]
    lines.append(
        f"- Of what gated explains more than L1, rescaled ReLU reaches the share {said(estimate(share), 2)}; the step "
        "of the gate adds the rest."
    )
    return "\n".join(lines)


def shares_table(found: pd.DataFrame) -> str:
    """Return a table of the shares that return."""
    lines = []
    for row in found.itertuples():
        share = said(Estimate(row.share, row.low, row.high, row.n_seeds), 2)
        n = f"{row.n_seeds} seeds" if row.low == row.low else "no interval"
        lines.append([row.group, share, f"{row.chance:.4f}", f"{row.n_pairs}, {n}"])
    return table(["What differs", "Share that returns", "By chance", "Ordered pairs"], lines)


def shipped_shares(held: Numbers) -> pd.DataFrame:
    """Return the shares of the shipped dictionaries by factor."""
    return shares_by_change(held.pairs["shipped"]["pairs"], lambda pair: pair["factor"])


def trained_shares(held: Numbers) -> pd.DataFrame:
    """Return the shares of the trained dictionaries by factor and runs, both ways together."""

    def group(pair: Mapping[str, Any]) -> str:
        if pair["factor"] == "seed":
            return f"seed, both {pair['of']}"
        return f"{pair['factor']}: {' and '.join(sorted((pair['of'], pair['in'])))}"

    return shares_by_change(held.pairs["trained"]["pairs"], group)


def figures(held: Numbers, plan: Plan = PLAN) -> dict[str, tuple[str, str, alt.TopLevelMixin]]:
    """Return each figure's title, note and chart, by the stem of its file."""
    n, d_in = len(plan.seeds), 128
    how = f"a dot for each of {n} seeds, lines through their means, dashed: L0 {plan.l0:g}"

    def cost(arms: Sequence[Arm]) -> alt.TopLevelMixin:
        return charts.against_l0(curve_table(held, plan, arms, "fve"), "fve", "Variance explained", plan.l0)

    bars = "bars: mean over pairs, lines: 95 % interval over seeds where there are some, ticks: by chance"
    return {
        "experiments-nearest": (
            "Nearest cosines under an orthogonality penalty",
            f"{n} seeds pooled · the dictionaries with the lower L0 of each",
            charts.nearest_histogram({arm.title: sparsest(held, plan, arm) for arm in (L1, *PENALTIES)}, d_in),
        ),
        "experiments-penalty": ("What the penalty costs", how, cost((L1, *PENALTIES))),
        "experiments-gate": ("L1, rescaled ReLU and gated", how, cost((L1, RESCALED, GATED))),
        "experiments-factors": (
            "Features that return after one change, of the shipped dictionaries",
            bars,
            charts.change_bars(shipped_shares(held)),
        ),
        "experiments-changes": (
            "Features that return after one change, of those trained here",
            bars,
            charts.change_bars(trained_shares(held)),
        ),
    }


def text(held: Numbers, plan: Plan = PLAN) -> str:
    """Return the document. All its numbers are from `held`."""
    n, compared = len(plan.seeds), held.pairs["shipped"]["inputs"]
    penalised = {arm.title: arm_at_l0(held, plan, arm) for arm in (L1, *PENALTIES)}
    sparse = {arm.title: sparsest(held, plan, arm) for arm in (L1, *PENALTIES)}
    gates = {arm.title: arm_at_l0(held, plan, arm) for arm in (L1, RESCALED, GATED)}
    common = {"fve": ("Variance explained", 3), "ce_recovered": ("Loss recovered", 3)}
    size = {"relative_size": ("Relative size", 3), "dead_share": ("Dead", 4)}
    terms = {
        "nearest_q05": ("Nearest cosine, 5 %", 3),
        "nearest_q50": ("Median", 3),
        "nearest_q95": ("95 %", 3),
        "mean_cosine": ("Mean cos", 4),
        "nearest_cosine": ("Mean of max cos", 3),
        "largest_cosine": ("Max of max cos", 3),
        "hub": ("Largest hub", 1),
    }
    values = "; ".join(
        f"{arm.title}: {', '.join(f'{value:g}' for value in arm.values)}" for arm in (L1, *PENALTIES, RESCALED, GATED)
    )
    return f"""# Experiments

Questions about training, asked of the demo model. `python -m demo.experiments` trains what is missing, goes on where
it was stopped, and writes this page; `--write` only writes it. All numbers are in
[numbers.json](../demo/experiments/numbers.json), all settings in [plan.py](../demo/experiments/plan.py) and
[asked.py](../demo/experiments/asked.py).

Each dictionary has {plan.d_sae:,} features, reads `{plan.hook_name}` of the demo model (width 128) and sees
{plan.training_tokens:,} tokens. There are n = {n} seeds of each; a seed decides the first weights and the order of the
tokens. Everything is measured on {plan.held_out_tokens:,} held-out tokens, the loss on {plan.loss_tokens:,}.
Numbers in brackets are 95 % t intervals over the {n} seeds. They say how much seeds differ, not how much models, layers
or texts do: this is one small model, one layer, short trainings.

Ways to train are compared at an L0 of {plan.l0:g}. Each was trained at two values of its L1 coefficient; the numbers
of each seed are interpolated between its two dictionaries, linearly in log L0, and differences are
taken seed by seed. The values:
{values}.

## Where do the peaks of nearest cosines move under an orthogonality penalty, and what does it cost?

The penalty is Bussmann's: mean cos + mean_i max_j cos + max_i max_j cos of decoder rows. It is added to the loss of
each token, all three terms with the weight 10 or 100. Cosines are signed, and of features that fire on held-out text.
The inputs are scaled to a length of about sqrt(128), so weights compare with squared errors of that scale only.

A peak is a maximum of the histogram of all seeds, in bins of 0.02 smoothed by 0.7 bins, that stands out by 5 % of the
highest; the highest comes first. Peaks are those of the dictionaries with the larger L1 coefficient, as those of two
mixed dictionaries would blur.

{penalty_text(penalised, sparse)}

![Histograms of nearest cosines](experiments-nearest.svg)

{arms_table(penalised, terms)}

The largest hub is the largest number of features that share one nearest feature.

![Variance explained over L0, with and without the penalty](experiments-penalty.svg)

{arms_table(penalised, common | size)}

The relative size is sum |x̂ - m|² / sum (x̂ - m)(x - m), with m the mean of x; below 1 where activations shrink.

## What does the gate add: rescaled ReLU against gated against L1

Rescaled ReLU is J. Drori's question: x̂ = Dec(r · Enc(x)) with a learned r for each feature, and
|x - Dec_frozen(Enc(x))|² + λ |Enc(x)|₁ + |x - x̂|² as the loss. At L0 {plan.l0:g}:

{gate_text(gates)}

![Variance explained over L0, by type](experiments-gate.svg)

{arms_table(gates, common | size)}

## What does each factor change: seed, data, type, k, width, layer

A feature returns if its nearest feature in the other dictionary has a decoder cosine over {compared["threshold"]:g}.
First the {len(compared["dictionaries"])} dictionaries that come with the demo, in all pairs that differ in one factor.
Only the seeds give an interval (a jackknife over seeds, as pairs that share a seed are not independent); the pairs of
the other factors are what was trained, not draws.

![Features that return, by factor](experiments-factors.svg)

{shares_table(shipped_shares(held))}

The demo has no two dictionaries that differ in k alone. TopK with k of 16, 32 and 64 was trained here, with the same
seeds; a change at the same seed starts from the same weights and the same order of tokens. Runs are named by their way
to train and the value of its setting.

![Features that return, of dictionaries trained here](experiments-changes.svg)

{shares_table(trained_shares(held))}
"""


def write(document: Path = DOCUMENT) -> None:
    """Write the document and its figures."""
    held = numbers.read()
    document.write_text(text(held), encoding="utf-8")
    provenance = {"app": f"SAE Loupe {APP_VERSION}", "numbers": "demo/experiments/numbers.json"}
    for stem, (title, note, chart) in figures(held).items():
        spec = specification([finished(chart, dark=False)], title=title, note=note, provenance=provenance, dark=False)
        document.with_name(f"{stem}.svg").write_bytes(to_svg(spec))

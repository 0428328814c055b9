"""A text of odd bytes beside four proxies and three patterns, and six features beside ratios of 60 rows of five."""

from dataclasses import fields

import numpy as np
import pandas as pd
from scipy import stats

from core.activations.store import FeatureActivations
from core.oracles import proxies as slow
from core.proxies import tables
from core.proxies.disagreements import active_without, silent_hits
from core.proxies.library import Proxy, pattern_proxy, proxies
from core.proxies.ranking import rank_features
from core.proxies.tables import FeatureProxy, feature_proxy
from core.proxies.values import proxy_values
from tests.doubles.held_store import HeldStore
from tests.oracles.shown import Case, Known, Planted, Shown, known
from tests.proxies.test_proxies import PIECES, ROWS, SPECIAL, text_of

SHAPE, T, BINS, N_EACH = (60, 5), 4.5, 24, 30
DRAWN, HITS, NEGATIVE, NEVER, EVEN, FLAT = range(6)
"""Features: drawn, 2 on every hit, under 0, silent, 1 to 12 in turn on the first 24 tokens, and 1 on every token."""
EDGES = [10.5, 10, 5, 0, -10, -40, -np.inf]
"""The ratios of the first tokens."""
ONCE = {"active_tokens": 2}
PAIR = {"text_row": "text_row", "position": "position"}


def case(folder) -> Case:
    rng = np.random.default_rng(3)
    value = rng.normal(size=SHAPE).astype(np.float32) * 12
    value.ravel()[: len(EDGES)] = EDGES
    value[rng.random(SHAPE) < 0.1] = -np.inf
    value.ravel()[: len(EDGES)] = EDGES
    counted = rng.random(SHAPE) < 0.9
    counted[:5] = True
    acts = activations(rng, value) * counted[..., None]
    mine = {"acts": acts[counted].astype(float), "proxy": value[counted].astype(float), "threshold": T}
    pairs = [of(acts[..., i], value, counted) for i in range(acts.shape[-1])]
    numbers = pd.DataFrame([{"feature": i} | pair.numbers() for i, pair in enumerate(pairs)])
    store = HeldStore(acts, counted)
    ranking = rank_features(store, store.statistics(), (value > T) & counted)
    shown = [Shown("cards", numbers, mine), Shown("features", ranking, mine)]
    for feature in (DRAWN, NEGATIVE, EVEN):
        shown += of_one(feature, pairs[feature], mine)
    equal = of(acts[..., HITS], np.where(value > T, np.float32(7), -np.inf).astype(np.float32), counted)
    steps = of(acts[..., DRAWN], np.arange(300).reshape(SHAPE).astype(np.float32) % 49 - 30, counted)
    by_ratios = {"drawn": pairs[DRAWN], "of one ratio": equal, "in steps": steps}
    shown += [*(by_ratio(what, pair) for what, pair in by_ratios.items()), *of_text()]
    return Case(shown, planted())


def activations(rng, value) -> np.ndarray:
    acts = np.zeros((*SHAPE, 6), np.float32)
    acts[..., DRAWN] = rng.normal(2, 2, SHAPE) * (rng.random(SHAPE) < 0.85) + (value > 3)
    acts[..., HITS] = 2 * (value > T)
    acts[..., NEGATIVE] = -rng.random(SHAPE) * (rng.random(SHAPE) < 0.3)
    acts.reshape(-1, 6)[:24, EVEN] = np.arange(24) % 12 + 1
    acts[..., FLAT] = 1
    return acts


def of(act, value, counted) -> FeatureProxy:
    row, position = np.nonzero(act)
    return feature_proxy(FeatureActivations(row, position, act[row, position]), value, counted, threshold=T)


def of_one(feature, pair: FeatureProxy, mine) -> list[Shown]:
    """Return the tables by activation of one feature, whose bins and cutoffs stand for features of `acts`."""
    f = mine["acts"][:, feature]
    own, bins, cutoffs = mine | {"f": f}, tables.bin_table(pair), tables.threshold_table(pair)
    low = [slow.proxy_bin_low(f, i) for i in range(BINS + 1)]
    low[-1] = np.inf
    inside = [f * ((f >= low[i]) & (f < low[i + 1])) for i in range(BINS)]
    above = [f * (f >= slow.proxy_cutoff(f, i)) for i in range(len(cutoffs))]
    number, place = {"feature": "#", "bin": "#"}, {"feature": "#", "place": "#"}
    shown = [
        Shown(f"bins of {feature}", bins, own | {"acts": np.stack(inside, axis=1)}, number),
        Shown(f"cutoffs of {feature}", cutoffs, own | {"acts": np.stack(above, axis=1)}, place),
    ]
    for by, split in (("hits", tables.hit_classes), ("ratios", tables.ratio_classes)):
        names, numbers = split(pair)
        table = tables.class_table(pair, names, numbers)
        table = table.assign(bin=np.arange(len(table)) % BINS)
        rows = {"proxy_class": "proxy_class", "bin": "bin"}
        shown.append(Shown(f"{by} of {feature}", table, own | {"by": by}, rows))
        said = pd.DataFrame({"token": range(len(f)), "proxy_class": [names[i] for i in numbers]})
        shown.append(Shown(f"tokens by {by}", said, mine | {"by": by}, {"token": "token"}))
    return shown


def by_ratio(what: str, pair: FeatureProxy) -> Shown:
    proxy, f = pair.values.astype(float), pair.f
    values = np.maximum(proxy, -30)
    low = [slow.proxy_value_low(proxy, i) for i in range(BINS + 1)]
    low[-1] = np.inf
    acts = [f * (np.isfinite(proxy) & (values >= low[i]) & (values < low[i + 1])) for i in range(BINS)]
    given = {"proxy": proxy, "f": f, "acts": np.stack(acts, axis=1)}
    return Shown(f"by ratio, {what}", tables.sensitivity_table(pair), given, {"bin": "#", "feature": "#"})


def of_text() -> list[Shown]:
    """Return the proxies of tokens on which a feature that fires at random disagrees, as the page lists them."""
    rows = ROWS[:71]
    text = text_of(rows, special=[SPECIAL])
    silent = [not piece or i == SPECIAL for i, piece in enumerate(PIECES)]
    act = (np.random.default_rng(1).random(rows.shape) < 0.5).astype(np.float32)
    patterns = [pattern_proxy("b|A"), pattern_proxy("AB.", across=True), pattern_proxy("ж", across=True)]
    shown = []
    for proxy in (*(proxies()[name] for name in ("base64", "hex", "dna", "cyrillic")), *patterns):
        pair = FeatureProxy(act, proxy_values(text, proxy), np.ones(rows.shape, bool), 0.0)
        row, position = np.concatenate([active_without(pair, n=N_EACH), silent_hits(pair, n=N_EACH)], axis=1)
        value = pair.value[row, position].astype(float)
        table = pd.DataFrame({"text_row": row, "position": position, "proxy_value": value})
        given = {"rows": rows, "pieces": PIECES, "silent": silent, "context": context(proxy)}
        shown.append(Shown(f"disagreements, {proxy.title}", table, given, PAIR))
    return shown


def context(proxy: Proxy) -> dict:
    names = ("alphabets", "least_tokens", "blocks") if proxy.is_ratio else ("pattern", "across")
    return {one.name: getattr(proxy, one.name) for one in fields(proxy) if one.name in names}


def planted() -> list[Planted | Known]:
    perfect, never, two = {"feature": HITS}, {"feature": NEVER}, "2 on every hit"
    tokens, bins = "tokens by ratios", f"bins of {EVEN}"
    four = {"acts": np.array([[1.0], [3], [0], [4]]), "proxy": np.array([1.0, 5, 9, -2]), "threshold": 3, "feature": 0}
    three = {name: four[name] for name in ("proxy", "threshold")}
    score = four | {"acts": np.array([[1.0], [3], [2], [0]]), "proxy": np.array([1.0, 5, 4, -np.inf])}
    one, ratio = stats.binomtest(1, 3).proportion_ci(0.95, method="wilson"), np.log(6 / 2) - 2 * np.log(64)
    f = {"f": np.array([0.0, 12, 1, 6, 0.25])}
    split = f | {"proxy": np.array([9.0, 9, 0, 9, 9]), "threshold": 3, "by": "hits"}
    hit, no_hit = {"proxy_class": "hit"}, {"proxy_class": "no hit"}
    half = stats.binomtest(1, 2).proportion_ci(0.95, method="wilson")
    by = {"proxy": np.array([-50.0, -6, -5.5, -np.inf, -30]), "f": np.array([1.0, 0, 1, 1, 0])}
    text = {"rows": np.array([[0, 1, 2], [2, 2, 0]]), "pieces": [b"ab", b"!", b"c"], "silent": [False] * 3}
    base64 = text | {"context": context(proxies()["base64"])}
    return [
        *(Planted(f"proxy_{name}", 1, two, perfect, "cards") for name in ("specificity", "sensitivity", "weight")),
        Planted("proxy_correlation", 1, two, perfect),
        Planted("proxy_correlation", np.nan, "it is the same on every token", {"feature": FLAT}),
        Planted("proxy_sensitivity", 1, "it is active on every token", {"feature": FLAT}),
        Planted("proxy_lift", 1, "it is active on every token", {"feature": FLAT}),
        Planted("proxy_specificity", np.nan, "it is active on none", never, "cards"),
        Planted("proxy_weight", np.nan, "it is active on none", never, "cards"),
        Planted("proxy_active_tokens", 0, "it is active on none", never, "cards"),
        Planted("proxy_bin_low", 1, "24 bins up to 12, and 1 is in the third", ONCE | {"proxy_bin_high": 1.5}, bins),
        Planted("proxy_bin_low", 11.5, "12 is in the last bin", ONCE | {"proxy_bin_high": 12}, bins),
        known("proxy_bin_high", 0, "no activation is over 0", f=np.array([-1.0, 0, -2]), bin=23),
        known("proxy_bin_low", -2, "no activation is under −2", f=np.array([-1.0, 0, -2]), bin=0),
        Planted("proxy_cutoff", 12, "on the first 24 tokens, twice each", {"active_tokens": 2}, f"cutoffs of {EVEN}"),
        *(
            Planted("proxy_class", name, "at a border", {"token": i}, tokens)
            for i, name in enumerate(
                ["over 10", "5 to 10", "0 to 5", "-10 to 0", "-10 or less", "-10 or less", "no string"]
            )
        ),
        known("proxy_value_low", -30, "−50 counts as −30", proxy=by["proxy"], bin=0),
        Planted("proxy_value_low", -28, "24 bins from −30 to 18", {"proxy_value_high": -26}, "by ratio, in steps"),
        Planted("proxy_active_share", 1, two, {"proxy_value_low": 7}, "by ratio, of one ratio"),
        known("proxy_value_high", 8, "all equal: over one nat", proxy=np.array([7.0, 7]), bin=23),
        known("proxy_value_high", -29, "24 bins of 30 to 6 below 0", proxy=np.array([-50.0, -6]), bin=0),
        known("proxy_value_tokens", 2, "−50 and −30", proxy=by["proxy"], bin=0),
        known("proxy_active_share", 0.5, "of −50 and −30", **by, bin=0),
        known("proxy_active_share_low", half.low, "as scipy has it for 1 of 2", **by, bin=0),
        known("proxy_active_share_high", half.high, "as scipy has it for 1 of 2", **by, bin=0),
        known("proxy_tokens", 2, "5 and 9", **three),
        known("proxy_base_rate", 0.5, "two of four", **three),
        known("proxy_active_tokens", 1, "on 5", **four),
        known("proxy_specificity", 1 / 3, "one of three", **four),
        known("proxy_specificity_low", one.low, "as scipy has it for 1 of 3", **four),
        known("proxy_specificity_high", one.high, "as scipy has it for 1 of 3", **four),
        known("proxy_sensitivity", 0.5, "one of two", **four),
        known("proxy_lift", 2 / 3, "a third over a half", **four),
        known("proxy_weight", 3 / 8, "3 of 8", **four),
        known("proxy_correlation", stats.pearsonr([1, 3, 2, 0], [0, 1, 1, 0])[0], "as scipy has it", **score),
        known("proxy_excess_correlation", stats.pearsonr([1, 3, 2, 0], [0, 2, 1, 0])[0], "as scipy has it", **score),
        known("proxy_bin_high", 0.5, "24 bins up to 12", **f, bin=0),
        known("proxy_cutoff", 0.25, "the smallest that occurs", **f, place=0),
        known("proxy_class_tokens", 1, "6 lies at the edge of the bins 11 and 12", **split, **hit, bin=12),
        known("proxy_class_tokens", 0, "6 lies at the edge of the bins 11 and 12", **split, **hit, bin=11),
        known("proxy_class_tokens", 1, "1 is no hit", **split, **no_hit, bin=2),
        known("proxy_class_share", 1, "1 is alone in its bin", **split, **no_hit, bin=2),
        known("proxy_class_activation", 12, "the largest lies in the last bin", **split, **hit, bin=23),
        known("proxy_value", ratio, "ab: two of 64 letters, and two of six tokens", **base64, text_row=0, position=0),
        known("proxy_value", np.log(6) + np.log(1e-10), "! is foreign", **base64, text_row=0, position=1),
    ]

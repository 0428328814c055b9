"""Where proxies meet Streamlit's caches: the picker, values on a text, the features that agree with a proxy."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from jaxtyping import Float

from core.corpus.samples import reading_of, special_tokens
from core.errors import UnknownNameError
from core.proxies.library import MAX_PATTERN, Proxy, pattern_proxy, proxies
from core.proxies.ranking import rank_features
from core.proxies.text import ProxyText, proxy_text
from core.proxies.values import proxy_values
from core.work.progress import Progress
from ui.shared.escape import plain
from ui.studies import compute
from ui.studies.token_pass import TokenPass

OWN = "Regular expression"
ALONE, ACROSS = "each token", "the text"
LEAST, MOST = -10.0, 30.0
HELP = (
    "A proxy is a rule that says what kind of text a token is part of. Alphabets: are the characters likelier as "
    "Base64, hexadecimal digits or DNA than as tokens of this text? Scripts: are they all in the Unicode blocks of the "
    "script? Regular expression: your own pattern."
)


@dataclass(frozen=True, eq=False)
class Ranking:
    """All active features, those best correlated with a proxy first."""

    table: pd.DataFrame

    @property
    def nbytes(self) -> int:
        return int(self.table.memory_usage(index=False).sum())


def choose() -> Proxy | None:
    """Pick a proxy. None while a pattern is picked but not typed yet (raises BadSettingError)."""
    titles = {proxy.title: proxy for proxy in proxies().values()}
    wanted = st.query_params.get("fe_proxy", OWN)
    if wanted not in (OWN, *titles):
        st.warning(plain(str(UnknownNameError("proxy", wanted, [*titles, OWN]))), icon=":material/link_off:")
    picked = st.selectbox("Proxy", [*titles, OWN], key="fe_proxy", bind="query-params", help=HELP, width=260)
    if picked != OWN:
        return titles[picked]
    pattern = st.text_input("Pattern", key="fe_proxy_pattern", bind="query-params", width=260, max_chars=MAX_PATTERN)
    where = st.segmented_control(
        "Searched in",
        [ALONE, ACROSS],
        default=ALONE,
        required=True,
        key="fe_proxy_in",
        bind="query-params",
        help="Each token: tokens that contain the pattern. The text: every token that a match touches, even if the "
        "match goes on after it. Matches do not cross special tokens or rows.",
    )
    return pattern_proxy(pattern, across=where == ACROSS) if pattern else None


def choose_threshold(proxy: Proxy) -> float:
    """Pick the log-likelihood ratio above which a token is a hit. Patterns have no threshold."""
    if not proxy.is_ratio:
        return 0.0
    help = (
        "In nats. Tokens with a larger log-likelihood ratio are hits. At 0 the text is as likely in this context as in "
        "general."
    )
    return float(
        st.slider("Threshold", LEAST, MOST, 0.0, 0.5, key="fe_proxy_over", bind="query-params", help=help, width=280)
    )


def values(passed: TokenPass, proxy: Proxy) -> Float[np.ndarray, "row pos"]:
    """Return the proxy of every token of a pass, kept in memory. Raises BadSettingError, StillRunning."""
    key = f"proxy {_name(proxy)} on {_read(passed)}"
    return compute.transient(key, f"Reading the text for {proxy.title}", lambda _: proxy_values(_text(passed), proxy))


def _text(passed: TokenPass) -> ProxyText:
    model, rows = passed.model, passed.sample.rows
    key = f"characters of {_read(passed)}"
    return compute.loaded().get(key, lambda: proxy_text(rows, model.raw_tokens, special=special_tokens(model)))


def ranking(passed: TokenPass, proxy: Proxy, threshold: float) -> pd.DataFrame:
    """Return all features by their correlation with a proxy, from one scan of the store."""
    hits = (values(passed, proxy) > threshold) & passed.counted

    def work(progress: Progress) -> Ranking:
        return Ranking(rank_features(passed.store, passed.statistics, hits, progress=progress))

    key = f"features by proxy {_name(proxy)} over {threshold} on {passed.name} as {reading_of(passed.model)}"
    return compute.transient(key, f"All features beside {proxy.title}", work).table


def _read(passed: TokenPass) -> str:
    return f"{passed.rows_sha256} as {reading_of(passed.model)}"


def _name(proxy: Proxy) -> str:
    return f"{proxy.kind} {proxy.name} {proxy.across} {proxy.pattern!r}"

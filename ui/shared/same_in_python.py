"""The numbers of a figure in Python: which figures have a snippet, and what it says.

A snippet runs as it is, in a notebook or a script, and its last line gives the figure's numbers. Figures are found by
the names of their files. A figure that is in no line of the table has no snippet, and the page says nothing of it.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields
from string import Template
from typing import Any

from core.corpus.samples import FILES, LIBRARY, SampleSettings
from core.feature_map.layout import LayoutSettings
from core.logit_weights.unembedding import LogitSettings

SOURCES = ("demo", "folder", "registry", "hub")
"""Where dictionaries are from that a notebook can open by their id."""
_READ = ("n_rows", "context", "bos", "seed", "special")
"""The settings of a text that a token pass takes; a view may tell that it `reads` fewer."""
_POSITIONS = "positions = sae.positions($positions)\n"
_LOGITS = "logits = sae.logits($logits)\n"
_ENRICHED = "enriched = sae.enrichment($logits)\n"
_PASSED = "passed = sae.token_pass($text)\n"
_DECILES = f"{_PASSED}table = passed.deciles(with_first=$with_first)\n"
_FEATURE = r"feature-(?P<feature>\d+)"


@dataclass(frozen=True)
class Snippet:
    """The code that gives the numbers of some figures."""

    figure: str
    """A regular expression that the whole name of a figure's files matches; its groups are values in the code."""
    code: str
    """Behind the line that opens the dictionary. $name is a value: of a group, of a setting, or told by the view."""
    needs: str = ""
    """What the view must tell, if its numbers can only then be had in Python."""


SNIPPETS = (
    Snippet("position-heatmap", f"{_POSITIONS}positions.cells(*positions.top($count))"),
    Snippet("position-score-rank", f'{_POSITIONS}positions.to_frame()[["rank", "feature", "position_score", "peak"]]'),
    Snippet(r"scatter-(?P<x>\w+)-(?P<y>\w+)", f'{_POSITIONS}positions.to_frame()[["feature", "rank", "$x", "$y"]]'),
    Snippet("positional-features", f"{_POSITIONS}positions.to_frame()"),
    Snippet(r"position-(?P<position>\d+)-features", f"{_POSITIONS}positions.at($position)"),
    Snippet(
        r"feature-(?P<feature>\d+)-curve",
        f'import pandas as pd\n\n{_POSITIONS}acts = positions.curves($feature).assign(stage="activation")\n'
        'pre_acts = positions.curves($feature, stage="pre_acts").assign(stage="pre-activation")\n'
        "pd.concat([acts, pre_acts])",
    ),
    Snippet(
        "logit-(excess-)?kurtosis-skewness",
        f'{_LOGITS}table = logits.to_frame().drop(columns="logit_class")  # classes depend on thresholds\n'
        'table.assign(excess_kurtosis=table["kurtosis"] - 3)',
    ),
    Snippet(r"logit-feature-(?P<feature>\d+)-(?P<end>top|bottom)", f'{_LOGITS}logits.tokens($feature, "$end")'),
    Snippet(f"{_FEATURE}-promoted", f'{_LOGITS}logits.tokens($feature, "top").head($count)'),
    Snippet(f"{_FEATURE}-suppressed", f'{_LOGITS}logits.tokens($feature, "bottom").head($count)'),
    Snippet("enrichment-(?!.*-against-).*", f"{_ENRICHED}enriched.scores($token_set)", needs="library_alone"),
    Snippet(
        r"token-sets-of-feature-(?P<feature>\d+)", f"{_ENRICHED}enriched.of_feature($feature)", needs="library_alone"
    ),
    Snippet("hubs-(?P<side>decoder|encoder)", 'sae.neighbors(side="$side").to_frame()'),
    Snippet(
        r"feature-(?P<feature>\d+)-(cosines|neighbors)-(?P<side>decoder|encoder)",
        'sae.neighbors(side="$side").of($feature)',
    ),
    Snippet("weights-(?P<dashed>[a-z-]+)", 'sae.table(groups=["Weights"]).to_frame()[["feature", "$column"]]'),
    Snippet("basis-alignment", 'sae.table(groups=["Basis"]).to_frame()'),
    Snippet("basis-(?P<dashed>[a-z0-9-]+)", 'sae.table(groups=["Basis"]).to_frame()[["feature", "$column"]]'),
    Snippet("density", f"{_PASSED}passed.densities()"),
    Snippet(
        f"{_FEATURE}-activations",
        f"import pandas as pd\n\n{_PASSED}acts = passed.activations($feature)\n"
        'pd.DataFrame({"text_activation": acts.act[acts.position == $position].astype(float)})',
        needs="one_position",
    ),
    Snippet(
        f"{_FEATURE}-activations",
        f"import pandas as pd\n\n{_PASSED}acts = passed.activations($feature).act\n"
        'pd.DataFrame({"text_activation": acts.astype(float)})',
    ),
    Snippet(f"{_FEATURE}-positions", f"{_PASSED}passed.profile($feature)"),
    Snippet(f"{_FEATURE}-by-position", f"{_PASSED}passed.profile($feature, with_first=$with_first)"),
    Snippet(f"{_FEATURE}-tokens", f"{_PASSED}passed.tokens($feature)"),
    Snippet(f"{_FEATURE}-strongest", f"{_PASSED}passed.contexts($feature, $count)"),
    Snippet(f"{_FEATURE}-contexts", f"{_PASSED}passed.contexts($feature, width=$width$how)", needs="whole"),
    Snippet(
        f"{_FEATURE}-(?P<kind>intervals|quantiles)",
        f'{_PASSED}passed.levels($feature, "$kind", width=$width, seed=$seed)',
    ),
    Snippet(f"{_FEATURE}-correlated", f"{_PASSED}passed.correlated($feature, lowest=$lowest)"),
    Snippet(f"{_FEATURE}-near-and-alike", f"{_PASSED}passed.near_and_alike($feature)"),
    Snippet(f"{_FEATURE}-neurons", f"{_PASSED}passed.neurons($feature, $hook)"),
    Snippet(f"{_FEATURE}-(all-)?coefficients", "sae.coefficients($feature, layer=$layer)"),
    Snippet(f"{_FEATURE}-nearest", "sae.neighbors().of($feature).head($count)"),
    Snippet(
        "feature-map",
        "table = sae.map($map).to_frame()  # sae.table() has numbers to colour by\n"
        'table.rename(columns={"x": "map_x", "y": "map_y"})',
    ),
    Snippet(
        "features-mean-(?P<dashed>[a-z-]+)",
        f'{_DECILES}table[["feature", "active_tokens", "mean_active", "$column"]]',
    ),
    Snippet("features-cumulative", f"{_PASSED}passed.cumulative(with_first=$with_first)"),
    Snippet(
        "activations-(.*-by-position|path-.*)(?<!error-by-position)", f"{_PASSED}passed.curves(with_first=$with_first)"
    ),
    Snippet("activations-error-by-position", f"{_PASSED}passed.errors(with_first=$with_first)"),
    Snippet(
        "activation-decile(s|-table)",
        f'{_DECILES}table[table["active_tokens"] >= $least].sort_values(["$sort", "feature"], ignore_index=True)',
    ),
    Snippet(
        "match-list-matched",
        'other = loupe.open($other)\npairs = loupe.match(sae, other, similarity="$similarity", method="$method")\n'
        'table = pairs.to_frame().query("match_score > $threshold")\n'
        'table.sort_values("match_score", ascending=False, kind="stable", ignore_index=True)',
    ),
)


_folder: ContextVar[Callable[[str], str | None]] = ContextVar("folder_of_model", default=lambda name: None)


def find_models_by(folder: Callable[[str], str | None]) -> None:
    """Let snippets of this run say the folder of a model by its name; None where a notebook finds it by itself."""
    _folder.set(folder)


def snippet(figure: str, provenance: Mapping[str, Any], told: Mapping[str, Any]) -> str | None:
    """Return code that gives a figure's numbers; None where the figure has none.

    `figure` is the name of its files; `told` holds what its view says beside the provenance: `count`, and under `text`
    the SampleSettings of the text that it read.
    """
    for each in SNIPPETS:
        found = re.fullmatch(each.figure, figure)
        if not found or (each.needs and not told.get(each.needs)):
            continue
        model = (provenance.get("model") or {}).get("name")
        folder = _folder.get()(model) if model else None
        opened = [_opened(said, folder) for said in provenance.get("dictionaries") or ()]
        if opened and None not in opened:
            return _filled(each, _Values(found, provenance, told, opened))
    return None


def _filled(each: Snippet, values: "_Values") -> str | None:
    template = Template(each.code)
    given = {name: values.get(name) for name in template.get_identifiers()}
    if None in given.values():
        return None
    head, code = "import sae_loupe as loupe\n", template.substitute(given)
    imported, _, rest = code.partition("\n\n")
    if imported.startswith("import "):
        head, code = f"{imported}\n\n{head}", rest
    return f"{head}\nsae = loupe.open({values.opened[0]})\n{code}"


@dataclass(frozen=True)
class _Values:
    """Values for a snippet, by name; None for what is not known."""

    found: re.Match
    provenance: Mapping[str, Any]
    told: Mapping[str, Any]
    opened: list[str]

    def get(self, name: str) -> str | None:
        made: dict[str, Callable[[], str | None]] = {
            "positions": self._positions,
            "logits": self._logits,
            "text": self._text,
            "map": self._map,
            "with_first": lambda: repr(bool(self._settings.get("with_first", True))),
            "token_set": lambda: repr(self._settings["token_set"]),
            "column": lambda: self.found["dashed"].replace("-", "_"),
            "other": lambda: self.opened[1] if len(self.opened) == 2 else None,
        }
        if name in made:
            return made[name]()
        held = self.found.groupdict() | dict(self._settings) | dict(self.told)
        return str(held[name]) if held.get(name) is not None else None

    @property
    def _settings(self) -> Mapping[str, Any]:
        return self.provenance.get("settings") or {}

    def _positions(self) -> str | None:
        n_pos, text = f"n_pos={self._settings['n_pos']}", self._text() if "text" in self._settings else ""
        return None if text is None else ", ".join(filter(None, (text, n_pos)))

    def _logits(self) -> str:
        return self._unusual(LogitSettings)

    def _map(self) -> str:
        return self._unusual(LayoutSettings)

    def _unusual(self, settings: type) -> str:
        """Return those settings of the provenance that are not as usual, as arguments."""
        usual = {field.name: field.default for field in fields(settings)}
        chosen = {name: self._settings[name] for name in usual if name in self._settings}
        return ", ".join(f"{name}={value!r}" for name, value in chosen.items() if value != usual[name])

    def _text(self) -> str | None:
        read = self.told.get("text")
        if not isinstance(read, SampleSettings) or read.source not in (LIBRARY, FILES):
            return None
        usual = SampleSettings()
        said = [repr(read.name)] if read.source == FILES else []
        named = {name: getattr(read, name) for name in self.told.get("reads", _READ)}
        said += [f"{name}={value!r}" for name, value in named.items() if value != getattr(usual, name)]
        return ", ".join(said)


def _opened(said: Mapping[str, Any], model: str | None) -> str | None:
    """Return what opens a dictionary of a provenance, as arguments of `open`; None for one that only the app holds."""
    source, _, key = str(said.get("id")).partition("/")
    if source not in SOURCES or not key:
        return None
    text = key if source == "folder" else f"{source}/{key}"
    folded = [] if said.get("decoder_norms_folded") else ["fold_decoder_norms=False"]
    return ", ".join([repr(text), *([f"model={model!r}"] if model else []), *folded])

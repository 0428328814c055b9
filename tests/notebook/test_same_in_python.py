"""The same in Python: every snippet that a figure shows runs as it is and gives the figure's numbers."""

import ast
import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.corpus.samples import DATASET, FILES, SampleSettings
from sae_loupe.opened import Opened
from tests.doubles import pages, planted_pages
from ui.feature import related
from ui.shared import figure, save_menu
from ui.shared.same_in_python import SNIPPETS, snippet
from ui.shared.without_python import REASONS, why_not

ROOT = Path(__file__).resolve().parents[2]
DEMO, DEEPER, SEED1 = "demo/layer0-standard-2048", "demo/layer2-standard-2048", "demo/layer2-standard-2048-seed1"
VIEWS = (
    ("positions", "Heatmap", {}),
    ("positions", "Heatmap", {"sae": DEEPER, "positions": 16, "text_seed": 3}),
    ("positions", "Feature by position", {"feature": 610}),
    ("positions", "One position", {"position": 3}),
    ("positions", "Position or token", {}),
    ("positions", "All scores", {}),
    ("logit_weights", "Moments", {"lw_center": "Not at all"}),
    ("logit_weights", "Weights of one feature", {"feature": 7}),
    ("logit_weights", "Enrichment", {"feature": 7, "token_set": "starts_with_capital"}),
    ("geometry", "Hubs", {"side": "encoder"}),
    ("geometry", "Nearest features", {"feature": 7}),
    ("overview", "Norms and biases", {"fold": "false"}),
    ("overview", "Basis", {}),
    ("overview", "Density", {"rows": 3, "length": 32, "special": "false"}),
    ("feature", "Summary", {"feature": 269, "rows": 3, "length": 32}),
    ("feature", "Summary", {"feature": 269, "fe_at": 2}),
    ("feature", "Examples", {"feature": 269, "fe_width": "5"}),
    ("feature", "Examples", {"feature": 269, "fe_examples": "Intervals", "fe_seed": 2}),
    ("feature", "Examples", {"feature": 269, "fe_examples": "Quantiles", "fe_width": "whole row"}),
    ("feature", "Examples", {"feature": 269, "fe_examples": "Random active", "fe_order": "position", "fe_seed": 2}),
    ("feature", "Examples", {"feature": 269, "fe_examples": "Random text"}),
    ("feature", "Related", {"feature": 269}),
    ("feature", "Related", {"feature": 269, "rel_end": "Most opposed", "rel_basis": "Neurons of layer 1"}),
    ("feature_map", "Map", {"method": "PCA", "feature": 7}),
    ("activations", "Features", {"act_first": "true"}),
    ("activations", "Values of one feature", {"feature": 269}),
    ("activations", "By position", {}),
    ("activations", "Deciles", {"act_least": 3}),
    ("activations", "Error by position", {}),
    ("matching", "Lists", {"sae": DEEPER, "b": SEED1}),
)
UNBOUND = ("fe_at",)
"""Widgets whose values are not in the address."""
ONLY_ON_PAGES = {"in_set", "logit_class", "agreement", "decoder_norm", "es_random"}
ONLY_ON_PAGES |= {"cluster", "top_token", "dictionary"}  # colours of a map
"""Columns that rest on other pickers of the page, or that are a mark and no number."""


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Of each figure that shows code: its name, the code, and its table; on a little text, with one cache for all."""
    found = []

    def keep(frame, table, told):
        code = snippet(frame.name, frame.provenance, told)
        if code is not None:
            found.append((frame.name, code, table() if callable(table) else table))

    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        planted_pages.read_little_text(patch)
        patch.setattr(figure, "_save_menu", keep)
        patch.setattr(related, "agreed", lambda *_: True)
        for page, tab, query in VIEWS:
            with pages.app(patch, "--cache", str(cache), "--page", page):
                state = {name: query[name] for name in UNBOUND if name in query}
                at = pages.run(pages.SCRIPT, {"sae": DEMO, "tab": tab} | query, **state)
                assert not at.exception
    with pytest.MonkeyPatch.context() as patch:
        planted_pages.read_little_text(patch)
        made = Opened.__init__
        patch.setattr(Opened, "__init__", lambda *given, **how: made(*given, **(how | {"cache": cache})))
        yield found


def test_every_snippet_of_the_table_is_shown_by_a_figure(figures):
    names = [name for name, _, _ in figures]
    for each in SNIPPETS:
        assert any(re.fullmatch(each.figure, name) for name in names), each.figure


def test_every_snippet_gives_the_numbers_of_its_figure(figures):
    assert len(figures) > 35
    for name, code, table in figures:
        result = run(code, {})
        assert len(result) == len(table), (name, code)
        held = [column for column in table.columns if column not in ONLY_ON_PAGES]
        assert set(held) <= set(result.columns), (name, set(held) - set(result.columns))
        for column in held:
            np.testing.assert_array_equal(result[column].to_numpy(), table[column].to_numpy(), err_msg=f"{name} {code}")


def test_every_figure_has_code_or_a_reason_why_it_has_none():
    named = {
        name: alternatives for path in sorted((ROOT / "ui").rglob("*.py")) for name, alternatives in names_in(path)
    }
    assert len(named) > 150
    unexplained = [
        name
        for name, alternatives in named.items()
        if not any(why_not(one) or any(re.fullmatch(each.figure, one) for each in SNIPPETS) for one in alternatives)
    ]
    assert unexplained == []
    tried = {one for alternatives in named.values() for one in alternatives}
    assert [reason for reason in REASONS if not any(re.fullmatch(reason, one) for one in tried)] == []


FILLED = ("7", "top", "decoder", "20", "mean-active", "activation", "position_score", "promoted", "sets", "after")
"""What stands for a value in the name of a figure, in turn."""
COMPUTED = {
    "feature/examples.py": ("feature-7-contexts", "feature-7-intervals", "feature-7-strongest"),
    "automata/loops.py": ("loops", "feature-7-paths"),
    "interventions/edited_text.py": ("what-gains", "what-loses"),
    "matching/activations.py": ("match-activations-cosine",),
    "matching/export.py": ("match-file-pairs",),
    "matching/lists.py": ("match-list-matched", "match-list-a-only", "match-density-a"),
}
"""Names that a file computes and does not write out."""


def names_in(path):
    """Yield the name of each figure in a file as its code writes it, and names that this can become."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "figure":
            name = next(given.value for given in node.keywords if given.arg == "name")
            written, place = ast.unparse(name), path.relative_to(ROOT / "ui").as_posix()
            if isinstance(name, ast.Constant | ast.JoinedStr):
                parts = name.values if isinstance(name, ast.JoinedStr) else [name]
                yield written, ["".join(one) for one in itertools.product(*map(fillings, parts))]
            else:
                yield f"{place}: {written}", COMPUTED[place]


def fillings(part):
    if isinstance(part, ast.Constant):
        return [part.value]
    return ["feature-7", "direction"] if ast.unparse(part.value).endswith(".stem") else FILLED


def test_a_snippet_says_only_what_differs_from_the_usual(figures):
    codes = {name: code for name, code, _ in figures}
    assert "n_rows=3, context=32" in codes["density"]
    assert "special=False" in codes["density"]
    assert "center='none'" in codes["logit-kurtosis-skewness"]
    assert "fold_decoder_norms=False" in codes["weights-encoder-norm"]
    assert codes["basis-alignment"].count("(") == 3
    assert any("seed=3" in code for name, code, _ in figures if name == "position-heatmap")


def test_the_menu_of_a_figure_shows_the_code_or_says_why_there_is_none():
    def script():
        import pandas as pd
        import streamlit as st

        from ui.shared.figure import figure

        said = {"id": "demo/layer0-standard-2048", "sha256": "0" * 64, "decoder_norms_folded": True}
        for name in ("hubs-decoder", "pair-1-2-activations", "some-other-figure"):
            source = {"dictionaries": [said], "settings": {}}
            frame = pd.DataFrame({"feature": [1]})
            figure(name, lambda: st.write("drawn"), frame, explains=[], note="n", name=name, provenance=source)

    at = pages.run(script)
    assert [element.value for element in at.code] == [
        "import sae_loupe as loupe\n\nsae = loupe.open('demo/layer0-standard-2048')\n"
        'sae.neighbors(side="decoder").to_frame()'
    ]
    said = [element.value.replace("\\", "") for element in at.caption]
    assert said.count("The same in Python") == 1
    assert [one for one in said if one.startswith("No code")] == [f"No code in Python: {why_not('pair-1-2')}."]


PASSED = {"dictionaries": [{"id": DEMO, "decoder_norms_folded": True}], "settings": {}}


def test_text_of_a_file_is_named_and_text_of_the_hub_has_no_snippet():
    chosen = SampleSettings(source=FILES, name="my 'own' text.txt", seed=4)
    assert "sae.token_pass(\"my 'own' text.txt\", seed=4)" in snippet("density", PASSED, {"text": chosen})
    assert snippet("density", PASSED, {"text": SampleSettings(source=DATASET, name="a/b")}) is None
    assert snippet("density", PASSED, {}) is None


@pytest.mark.parametrize("id", ["own/direction", "memory/0123", "", "None"])
def test_a_dictionary_that_only_the_app_holds_has_no_snippet(id):
    assert snippet("hubs-decoder", {"dictionaries": [{"id": id}], "settings": {}}, {}) is None


def test_a_model_of_ones_own_is_named_and_the_code_runs(tmp_path):
    planted_pages.write_workspace(tmp_path)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(save_menu, "in_python", lambda name, *said: found.append((name, snippet(name, *said))))
        with pages.app(patch, *planted_pages.arguments(tmp_path), "--page", "logit_weights"):
            pages.run(pages.SCRIPT, {"sae": planted_pages.id_of(tmp_path)})
    code = dict(found)["logit-kurtosis-skewness"]
    assert f"model='{(tmp_path / planted_pages.MODEL_NAME).resolve()}'" in code
    assert len(run(code.replace("model=", f"cache={str(tmp_path)!r}, model="), {}))


def test_scores_beside_sets_of_ones_own_have_no_snippet():
    alone = {"dictionaries": PASSED["dictionaries"], "settings": {"token_set": "it's"}}
    assert 'enriched.scores("it\'s")' in snippet("enrichment-it-s", alone, {"library_alone": True})
    assert snippet("enrichment-it-s", alone, {"library_alone": False}) is None
    assert snippet("enrichment-a-against-b", alone, {"library_alone": True}) is None


def test_an_odd_path_stays_one_text_of_python():
    odd = 'folder//tmp/a\'b"c\n"); import os; ("'
    code = snippet("hubs-decoder", {"dictionaries": [{"id": odd}], "settings": {}}, {})
    (call,) = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "loupe.open"
    ]
    assert ast.literal_eval(call.args[0]) == odd.removeprefix("folder/")


def run(source: str, names: dict) -> pd.DataFrame:
    """Run code and return the value of its last line."""
    tree = ast.parse(source)
    last = tree.body.pop()
    exec(compile(tree, "snippet", "exec"), names)
    return eval(compile(ast.Expression(last.value), "snippet", "eval"), names)

"""docs/reach.md says what opens; a sample of its rows is asked again, and none is missing."""

import re

import pytest

from benchmarks import reach
from core.dictionaries.registry.index import registry

RELEASES = (  # a loader each, with every kind of answer
    "gpt2-small-res-jb",
    "gpt2-small-hook-z-kk",
    "gemma-scope-2-270m-pt-transcoders",
    "gemma-scope-2b-pt-res",
    "mntss-gemma-2-2b-2.5m-clt-as-per-layer",
    "llama-3.1-8b-instruct-andyrdt",  # whose loader cuts the owner off the name of the model
    "qwen-scope-3.5-2b-base-w32k-l50",
)
ARCHITECTURES = (
    *("BD3LM", "BertForMaskedLM", "BertLMHeadModel", "GPT2LMHeadModel", "NanoChatForCausalLM"),
    *("NemotronForCausalLM", "OlmoeForCausalLM"),
)


def section(title: str) -> tuple[list[list[str]], dict[str, str]]:
    """Return the cells of a section's table, and its reasons by number."""
    text = reach.DOCUMENT.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return rows[1:], dict(re.findall(r"^(\d+)\. (.+)$", text, re.MULTILINE))


def said(cells: list[str], whys: dict[str, str]) -> tuple[str, ...]:
    """Return the reasons of a row, empty for 'yes'."""
    return tuple("" if cell == "yes" else whys[re.fullmatch(r"no \((\d+)\)", cell)[1]] for cell in cells)


def written(reasons: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(reach.escaped(why) for why in reasons)


def test_every_kind_of_dictionary_of_every_release_has_a_row():
    listed = [(cells[0], cells[2], cells[3]) for cells in section("Releases")[0]]
    releases = dict.fromkeys(item.release for item in registry().items)
    of_registry = [(name, item.hook_kind, f"{n:,}") for name in releases for item, n in reach.kinds(name)]
    assert listed == of_registry
    assert sum(int(count.replace(",", "")) for *_, count in listed) == len(registry().items)


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_opens_as_the_table_says(release):
    rows, whys = section("Releases")
    table = {tuple(cells[:3]): said(cells[4:], whys) for cells in rows if cells[0] == release}
    assert {row.title: written(row.reasons) for row in reach.releases([release])} == table


def test_an_architecture_opens_as_the_table_says():
    rows, whys = section("Architectures")
    table = {cells[0]: said(cells[2:], whys) for cells in rows}
    found = {row.title[0]: written(row.reasons) for row in reach.architectures(ARCHITECTURES)}
    assert found == {name: table[name] for name in ARCHITECTURES}
    assert len(table) > 150

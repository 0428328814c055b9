"""The registry that comes with sae-lens: all of it is listed, found by its names, and costs nothing to look at."""

import pytest
import yaml

from core.dictionaries import sources
from core.dictionaries.registry import index, loaders
from core.dictionaries.registry.index import RegistryIndex, read_registry, registry
from core.dictionaries.sources import registry as sources_registry
from core.errors import BadDictionaryError, NotDownloadedError, UnknownNameError
from core.workspace import Workspace
from tests.doubles.hub_files import RES_JB, RES_JB_ID, use_hub, write_res_jb
from tests.doubles.standin_hub import Fault, StandIn
from tests.house.test_imports import HEAVY, loaded_by

SMALL = {
    "one-res": {
        "repo_id": "a/one",
        "model": "gpt2-small",
        "conversion_func": None,
        "saes": [
            {"id": "blocks.0.hook_resid_pre", "path": "p0", "l0": 0.0, "variance_explained": 1.0},
            {"id": "blocks.1.hook_mlp_out", "path": 7, "l0": 12, "variance_explained": 0.5, "neuronpedia": "g/1"},
        ],
    },
    "two": {"repo_id": "b/two", "model": "gemma-2-2b", "saes": [{"id": "layer_3/width_16k/x", "path": "q"}]},
}


def test_every_dictionary_of_the_list_is_an_item():
    with open(index.list_path(), encoding="utf-8") as file:
        listed = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    expected = [(release, str(sae["id"])) for release, value in listed.items() for sae in value["saes"]]
    assert [(item.release, item.sae_id) for item in registry().items] == expected
    assert len(expected) > 13_000


def test_searching_loads_neither_torch_nor_sae_lens():
    script = "from core.dictionaries.registry.index import registry\nassert registry().search('gpt2').total > 100"
    assert loaded_by(script, HEAVY)[0] == []


def test_defaults_that_stand_for_unknown_are_unknown():
    first, second, third = RegistryIndex(SMALL).items
    assert (first.l0, first.variance_explained, first.neuronpedia) == (None, None, None)
    assert (second.l0, second.variance_explained, second.neuronpedia, second.path) == (12.0, 0.5, "g/1", "7")
    assert (third.l0, third.variance_explained) == (None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 3),
        ("gpt2", 2),
        ("RESID_PRE gpt2", 1),
        ("16k", 1),
        ("mlp_out one-res", 1),
        ("resid_pre 16k", 0),
        ("a/one", 2),
    ],
)
def test_all_words_must_occur_in_any_order_and_case(text, expected):
    found = RegistryIndex(SMALL).search(text)
    assert found.total == len(found.items) == expected


def test_a_search_returns_the_first_items_and_counts_all():
    found = registry().search("gemma", limit=5)
    assert len(found.items) == 5
    assert found.total > 1000
    assert found.items == registry().search("gemma").items[:5]


@pytest.mark.parametrize(
    ("id", "kind", "width"),
    [
        ("gpt2-small-res-jb/blocks.8.hook_resid_pre", "resid_pre", ""),
        ("gpt2-small-res-jb-feature-splitting/blocks.8.hook_resid_pre_3072", "resid_pre", "3072"),
        ("gpt2-small-resid-post-v5-32k/blocks.0.hook_resid_post", "resid_post", "32k"),
        ("gpt2-small-mlp-tm/blocks.0.hook_mlp_out", "mlp_out", "24576"),
        ("gemma-scope-2b-pt-att/layer_0/width_16k/average_l0_104", "hook_z", "16k"),
        ("gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6", "embed", "4k"),
        ("gemma-scope-2b-pt-transcoders/layer_0/width_16k/average_l0_76", "transcoder", "16k"),
        ("llama_scope_lxm_8x/l0m_8x", "mlp_out", "8x"),
        ("pythia-70m-deduped-att-sm/blocks.0.hook_attn_out", "attn_out", ""),
        ("saebench_gemma-2-2b_width-2pow12_date-0108/blocks.12.hook_resid_post__trainer_0", "resid_post", "2pow12"),
    ],
)
def test_hook_kind_and_width_are_read_from_the_names(id, kind, width):
    item = registry().parse(id)
    assert (item.hook_kind, item.width) == (kind, width)


def test_an_entry_that_is_malformed_costs_only_itself():
    odd = {"bad": None, "worse": {"saes": {}, "repo_id": "x/y"}, "no repo": {"saes": [{"id": "i", "path": "p"}]}}
    nested = {"repo_id": "c/d", "saes": [{"id": "x", "path": "y", "saes": [{"id": 1}]}, {"path": "no id"}, 3]}
    assert [item.id for item in RegistryIndex(odd | {"nested": nested}).items] == ["registry/nested/x"]


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", ""])
def test_a_file_that_is_no_list_of_dictionaries_is_named(tmp_path, content):
    path = tmp_path / "pretrained_saes.yaml"
    path.write_text(content)
    with pytest.raises(BadDictionaryError, match="is no list of dictionaries"):
        read_registry(path)


def test_an_unknown_release_or_id_brings_names_that_are_close():
    with pytest.raises(UnknownNameError, match=r"Did you mean registry/gpt2-small-res-jb/blocks\.8\.hook_resid_pre"):
        registry().parse("gpt2-small-res-jb/blocks.8.hook_resid_prae")


def test_every_item_has_files_that_are_known_before_sae_lens_is_imported():
    for item in registry().items:
        needed, optional = loaders.wanted_files(item)
        assert needed
        assert all(path and not path.startswith("/") for path in (*needed, *optional)), item


def test_the_picker_is_not_flooded():
    assert sources_registry.entries(Workspace()) == []


def test_an_item_costs_its_files_and_an_optional_one_may_be_absent(tmp_path, monkeypatch):
    with StandIn({RES_JB: write_res_jb(tmp_path / "jb")}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "cache")
        with pytest.raises(NotDownloadedError):
            sources.open_dictionary(RES_JB_ID, Workspace())
        assert hub.requests == []
        assert len(sources.cost(RES_JB_ID).files) == 3
        hub.faults.append(Fault("sparsity", status=404, code="EntryNotFound"))
        assert len(sources.cost(RES_JB_ID).files) == 2
        sources.download(RES_JB_ID)
        assert sources_registry.is_downloaded(registry().parse(RES_JB_ID.removeprefix("registry/")))

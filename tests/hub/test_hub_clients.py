"""sae-lens, transformers and TransformerLens run their own download code against a stand-in hub; so do we.

All of it happens in one process (tests/doubles/real_clients.py), as their settings are read when they are imported.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.dictionaries.registry.index import registry
from tests.doubles.hub_files import RES_JB, write_gpt2, write_res_jb
from tests.doubles.registry_files import FORMATS
from tests.doubles.standin_hub import StandIn

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What tests/doubles/real_clients.py found, and the requests it made."""
    root = tmp_path_factory.mktemp("clients")
    repositories = {registry().parse(key).repository for key in FORMATS}
    folders = {name: root / "hub" / name for name in repositories} | {"gpt2": root / "hub" / "gpt2"}
    write_gpt2(folders["gpt2"])
    write_res_jb(folders[RES_JB])
    with StandIn(folders) as hub:
        env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(root / "hf"), "NO_PROXY": "127.0.0.1"}
        unset = ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_HUB_DISABLE_TELEMETRY")
        env = {name: value for name, value in env.items() if name not in unset}
        command = [sys.executable, "-m", "tests.doubles.real_clients", str(root)]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), hub.requests


@pytest.mark.parametrize("key", FORMATS)
def test_a_registry_dictionary_is_what_sae_lens_loads_and_opens_without_a_network(run, key):
    found = run[0]["dictionaries"][key]
    assert found["weights"]
    assert found["acts"]
    assert found["x_hat"]
    assert found["active"] > 0


@pytest.mark.parametrize("key", FORMATS)
def test_what_sae_lens_warns_of_is_noted_and_a_cross_layer_transcoder_reconstructs_nothing(run, key):
    found = run[0]["dictionaries"][key]
    warned = [note for note in found["notes"] if note.startswith("sae-lens warns: ")]
    assert found["reconstructs"] == (not key.startswith("mntss"))
    assert any("summing all decoders together" in note for note in warned) == key.startswith("mntss")


def test_the_registrys_overrides_reach_the_config(run):
    found = run[0]["dictionaries"]["gpt2-small-res-jb/blocks.0.hook_resid_pre"]
    assert found["center_writing_weights"]
    assert found["hook_name"] == "blocks.0.hook_resid_pre"


def test_sae_lens_and_transformers_find_our_downloads_and_fetch_nothing_again(run):
    whole = [path for method, path, part, status in run[1] if method == "GET" and part is None and status == 200]
    files = [path.rpartition("/resolve/")[2].partition("/")[2] for path in whole if "/resolve/" in path]
    weights = [name for name in files if name.endswith(("sae_weights.safetensors", ".pt", ".npz", "cfg.json"))]
    assert len(weights) == len(set(weights))
    assert sum(name == "model.safetensors" for name in files) == 1


def test_nobody_asks_the_hub_for_more_than_repositories_and_files(run):
    other = [path for _, path, _, _ in run[1] if "/resolve/" not in path and not path.startswith("/api/models/")]
    assert set(other) <= {"/"}  # whether the hub is there


@pytest.mark.parametrize("before", ["", "from huggingface_hub import constants"])
def test_a_download_tells_the_hub_nothing_about_this_machine(before, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with StandIn({"me/mine": tmp_path}) as hub:
        env = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_TELEMETRY"}
        env |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
        script = f"{before}\nfrom core.hub import client\nclient.describe('me/mine', 'config.json')"
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, check=True)
    assert [path for _, path, _, _ in hub.requests] == ["/me/mine/resolve/main/config.json"]


def test_weights_damaged_after_the_download_are_named(run):
    assert "sae-lens cannot read registry/gpt2-small-res-jb" in run[0]["damaged"]
    assert "download it again" in run[0]["damaged"]


def test_gpt2_by_parts_is_gpt2_as_a_whole_is_transformers_gpt2(run):
    found = dict(run[0]["gpt2"])
    assert "all but the tensors of weight pages is missing" in found.pop("refusal")
    assert found == dict.fromkeys(found, True)
    parts = [part for method, path, part, _ in run[1] if method == "GET" and "gpt2/resolve" in path and part]
    assert len(parts) >= 6  # a header in two, four tensors


@pytest.mark.parametrize("family", ["neox", "lama", "mistral", "qwen2", "qwen3", "gpt2"])
def test_tensors_straight_from_the_file_are_those_of_transformer_lens(run, family):
    assert run[0]["families"][family] == []


def test_gemmas_embedding_and_norm_are_scaled_as_transformers_does(run):
    assert run[0]["gemma"] is True

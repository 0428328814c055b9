"""Downloads from a stand-in hub: what arrives, what it costs, and every way a hub can fail."""

from pathlib import Path

import numpy as np
import pytest

from core.dictionaries import sources
from core.dictionaries.sources import hub as sources_hub
from core.errors import (
    CancelledError,
    HubAccessError,
    HubBusyError,
    HubDamagedError,
    HubNotFoundError,
    HubUnreachableError,
    NotDownloadedError,
    OutOfSpaceError,
    UnknownNameError,
)
from core.hub import cache, client, download
from core.workspace import Workspace
from tests.doubles import saved
from tests.doubles.foreign import CASES
from tests.doubles.hub_files import use_hub
from tests.doubles.standin_hub import Fault, StandIn, commit_of, etag
from tests.doubles.watched import Watched

ID = "hub/someone/dictionaries/layer0"
WEIGHTS = "layer0/sae_weights.safetensors"


@pytest.fixture
def repository(tmp_path) -> Path:
    folder = tmp_path / "someone"
    folder.mkdir()
    saved.write(folder / "layer0")
    (folder / "layer0" / "optimizer.pt").write_bytes(b"x" * 999)
    (folder / "README.md").write_text("about")
    return folder


@pytest.fixture
def hub(tmp_path, repository, monkeypatch):
    with StandIn({"someone/dictionaries": repository}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub cache")
        yield hub


def test_nothing_is_asked_of_the_hub_by_opening(hub):
    with pytest.raises(NotDownloadedError, match=r"layer0' is not on this machine.*Press Download") as error:
        sources.open_dictionary(ID, Workspace())
    assert (error.value.kind, error.value.id, error.value.nbytes) == ("dictionary", ID, None)
    assert hub.requests == []


def test_a_downloaded_folder_opens_without_the_hub_as_the_same_dictionary(hub, repository):
    sources.download(ID)
    before = len(hub.requests)
    found = sources.open_dictionary(ID, Workspace())
    assert len(hub.requests) == before
    assert found.sha256 == saved.read(repository / "layer0").sha256
    assert found.origin.labels["revision"] == commit_of(repository)[:12]
    assert found.id == ID


def test_the_cost_is_known_before_and_only_the_dictionarys_files_count(hub, repository):
    cost = sources.cost(ID)
    files = [repository / "layer0" / name for name in ("cfg.json", "sae_weights.safetensors")]
    assert [file.path for file in cost.files] == ["layer0/cfg.json", WEIGHTS]
    assert cost.nbytes == cost.missing == sum(path.stat().st_size for path in files)
    assert hub.count("GET", "/resolve/") == 0
    sources.download(ID)
    assert sources.cost(ID).missing == 0


def test_progress_counts_all_bytes_and_ends_at_the_total(hub):
    watched = Watched()
    sources.download(ID, watched)
    total = sources.cost(ID).nbytes
    assert watched.told[-1] == (total, total)
    assert [done for done, _ in watched.told] == sorted(done for done, _ in watched.told)
    assert len(watched.told) > 4


def test_what_is_here_is_not_fetched_again(hub):
    sources.download(ID)
    sources.download(ID)
    assert hub.count("GET", "/resolve/") == 2


def test_a_revision_is_pinned_by_its_commit(hub, repository):
    commit = commit_of(repository)
    pinned = f"{ID}@{commit}"
    sources.download(pinned)
    assert not (cache.repository_folder("someone/dictionaries") / "refs").exists()
    first = sources.open_dictionary(pinned, Workspace())
    saved.write(repository / "layer0", "gated")
    with pytest.raises(NotDownloadedError):
        sources.open_dictionary(ID, Workspace())  # main was never asked for
    sources.download(ID)
    assert sources.open_dictionary(ID, Workspace()).config.architecture == "gated"
    assert sources.open_dictionary(pinned, Workspace()).sha256 == first.sha256


def test_a_cancelled_download_shows_nothing_and_is_taken_up_where_it_stopped(hub, repository):
    size = (repository / WEIGHTS).stat().st_size
    config = (repository / "layer0/cfg.json").stat().st_size
    with pytest.raises(CancelledError):
        sources.download(ID, Watched(stop_at=config + 512))
    with pytest.raises(NotDownloadedError):
        sources.open_dictionary(ID, Workspace())
    assert sources.cost(ID).missing == size - 512
    sources.download(ID)
    assert (f"bytes=512-{size - 1}", 206) in [(asked, status) for _, _, asked, status in hub.requests]
    assert sources.open_dictionary(ID, Workspace()).sha256 == saved.read(repository / "layer0").sha256


def test_a_connection_that_breaks_off_is_taken_up(hub, repository):
    hub.faults.append(Fault(f"GET .*{WEIGHTS}", stop_after=300, times=2))
    sources.download(ID)
    assert hub.count("GET", WEIGHTS) == 3
    assert sources.open_dictionary(ID, Workspace()).sha256 == saved.read(repository / "layer0").sha256


def test_a_hub_that_refuses_parts_sends_the_whole_again(hub, repository):
    hub.faults += [Fault(f"GET .*{WEIGHTS}", stop_after=700, times=1), Fault(f"GET .*{WEIGHTS}", refuses_parts=True)]
    sources.download(ID)
    assert sources.open_dictionary(ID, Workspace()).sha256 == saved.read(repository / "layer0").sha256


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault("resolve", status=404, code="EntryNotFound"), HubNotFoundError, "no such file .*EntryNotFound"),
        (Fault("tree", status=404, code="RepoNotFound"), HubNotFoundError, "RepoNotFound.*check the names"),
        (Fault("resolve", status=401, code="RepoNotFound"), HubAccessError, "status 401.*hf auth login"),
        (Fault("resolve", status=403, code="GatedRepo"), HubAccessError, "GatedRepo.*accept its terms"),
        (Fault("resolve", status=403), HubAccessError, "The hub refuses .*status 403"),
        (Fault("resolve", status=503), HubBusyError, "status 503.*Try again in a few minutes"),
        (Fault("resolve", status=429), HubBusyError, "status 429"),
        (Fault(f"GET .*{WEIGHTS}", stop_after=0), HubDamagedError, "broke off after 0 of .* Download to continue"),
        (Fault(f"GET .*{WEIGHTS}", wrong_bytes=True), HubDamagedError, "the checksum .* instead of"),
        (Fault("GET .*cfg.json", wrong_bytes=True), HubDamagedError, "the checksum .* instead of"),
    ],
)
def test_each_way_to_fail_has_its_own_message_and_leaves_nothing_half_read(hub, fault, error, says):
    hub.faults.append(fault)
    with pytest.raises(error, match=says):
        sources.download(ID)
    with pytest.raises(NotDownloadedError):
        sources.open_dictionary(ID, Workspace())
    hub.faults.clear()
    sources.download(ID)
    assert sources.open_dictionary(ID, Workspace()).d_sae == saved.D_SAE


def test_a_busy_hub_is_asked_again(hub):
    hub.faults += [Fault("HEAD .*cfg.json", status=503, times=2), Fault("GET .*cfg.json", status=500, times=1)]
    sources.download(ID)
    assert sources.open_dictionary(ID, Workspace()).d_sae == saved.D_SAE


def test_a_slow_hub_is_not_waited_for(hub, monkeypatch):
    monkeypatch.setattr("core.hub.client.READ_S", 1.0)
    hub.faults.append(Fault(f"GET .*{WEIGHTS}", wait_s=3.0))
    with pytest.raises(HubDamagedError, match="broke off after 0"):
        sources.download(ID)


def test_a_hub_that_is_away_says_so_before_anything_else(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubUnreachableError, match=r"127\.0\.0\.1:9 did not answer.*check the network"):
        sources.download(ID)
    assert hub.requests == []


def test_offline_mode_is_respected(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachableError, match="HF_HUB_OFFLINE is set"):
        sources.download(ID)
    assert hub.requests == []


def test_an_answer_that_is_not_the_hubs_is_named(hub, monkeypatch):
    monkeypatch.setattr("tests.doubles.standin_hub.commit_of", lambda folder: "<html>")
    with pytest.raises(HubDamagedError, match=r"commit '<html>'.*a proxy may answer"):
        client.describe("someone/dictionaries", "layer0/cfg.json")


def test_a_download_that_cannot_fit_says_so_before_it_starts(hub, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(OutOfSpaceError, match=r"needs 1 kB.* 10 bytes free.*HF_HOME"):
        sources.download(ID)
    assert hub.count("GET", "/resolve/") == 0


def test_a_folder_without_weights_is_refused_with_what_is_there(hub):
    with pytest.raises(HubNotFoundError, match=r"holds no weights \(found: README.md\)"):
        sources.cost("hub/someone/dictionaries")


def test_names_from_a_listing_that_climb_out_are_left_out(hub, monkeypatch):
    monkeypatch.setattr(
        "tests.doubles.standin_hub.files_of", lambda folder: ["../../x.safetensors", "/etc/x.pt", "a\\b.npz"]
    )
    monkeypatch.setattr("tests.doubles.standin_hub.describe", lambda f, n: {"type": "file", "path": n, "size": 1})
    assert client.list_folder(cache.HubFolder("someone/dictionaries")) == []


@pytest.mark.parametrize(
    "key",
    ["", "someone", "../..", "someone/..", "someone/x/../../etc", "someone/x//y", "a b/c", "someone/x/a\\b", "~/x"],
)
def test_ids_that_name_no_place_on_the_hub_are_refused(key):
    with pytest.raises(HubNotFoundError, match="xpected"):
        sources_hub.parse(key)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a/b", ("a/b", "", "main")),
        ("a/b/c/d.e", ("a/b", "c/d.e", "main")),
        ("a/b/c@v1", ("a/b", "c", "v1")),
        ("a/b@" + "0" * 40, ("a/b", "", "0" * 40)),
        ("a/b/x_24576:v1", ("a/b", "x_24576:v1", "main")),
    ],
)
def test_ids_name_repository_folder_and_revision(key, expected):
    found = sources_hub.parse(key)
    assert (found.repository, found.path, found.revision) == expected


def test_only_sources_that_download_are_asked_to():
    with pytest.raises(UnknownNameError, match="source that downloads called 'demo'"):
        sources.download("demo/x")


def test_a_part_of_a_file_is_exactly_that_part(hub, repository):
    file = client.describe("someone/dictionaries", WEIGHTS)
    content = (repository / WEIGHTS).read_bytes()
    assert client.read_range(file, 3, 1000) == content[3:1000]
    assert client.read_range(file, 0, len(content)) == content
    hub.faults.append(Fault("GET", refuses_parts=True))
    with pytest.raises(client.RangeRefusedError, match="only as a whole"):
        client.read_range(file, 3, 9)


def test_files_linked_in_the_cache_are_those_that_were_fetched(hub, repository):
    cost = sources.cost(ID)
    paths = download.download(cost, "main")
    for path, file in zip(paths, cost.files, strict=True):
        np.testing.assert_array_equal(path.read_bytes(), (repository / file.path).read_bytes())
    assert cache.stored_sha256(paths[1]) == cost.files[1].etag
    assert cache.downloaded_files("someone/dictionaries") == {"layer0/cfg.json", WEIGHTS}
    assert cache.downloaded_repositories() == {"someone/dictionaries"}


def test_a_renamed_repository_is_followed(hub, repository):
    moved = f"/someone/dictionaries/resolve/main/{WEIGHTS}"
    hub.faults.append(Fault("someone/old/resolve", status=307, headers={"Location": moved}))
    found = client.describe("someone/old", WEIGHTS)
    assert found.nbytes == (repository / WEIGHTS).stat().st_size
    assert found.commit == commit_of(repository)


def test_files_that_lie_in_another_hosts_storage_arrive_and_no_token_goes_there(hub, tmp_path, repository, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with StandIn({"storage/x": repository}) as storage:
        size, content = (repository / WEIGHTS).stat().st_size, etag(repository / WEIGHTS)
        linked = {"X-Repo-Commit": commit_of(repository), "X-Linked-Etag": f'"{content}"', "X-Linked-Size": str(size)}
        target = {"Location": f"{storage.url}/storage/x/resolve/main/{WEIGHTS}"}
        hub.faults.append(Fault(f"resolve.*{WEIGHTS}", status=302, headers=linked | target))
        sources.download(ID)
        assert storage.count("HEAD", "") == 0
        assert storage.count("GET", WEIGHTS) == 1
        assert storage.tokens == {None}
        assert "Bearer hf_secret" in hub.tokens
    assert sources.open_dictionary(ID, Workspace()).sha256 == saved.read(repository / "layer0").sha256


def test_a_dictionary_of_llama_scope_is_fetched_with_the_weights_in_its_checkpoints(hub, tmp_path):
    case = CASES["Llama Scope"]
    hub.repositories["fnlp/Llama3_1-8B-Base-LXR-8x"] = tmp_path / "scope"
    case.write(tmp_path / "scope")
    id = f"hub/fnlp/Llama3_1-8B-Base-LXR-8x/{case.path}"
    sources.download(id)
    dictionary = sources.open_dictionary(id, Workspace())
    assert (dictionary.origin.format, dictionary.config.hook_name) == ("llama-scope", case.hook_name)
    x = np.random.default_rng(0).normal(size=(9, dictionary.d_in)).astype(np.float32)
    np.testing.assert_allclose(dictionary.reconstruct(x), case.reference(x)[1], atol=1e-4)

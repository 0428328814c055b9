"""One request to a stand-in hub: what its answer means, and what is asked again."""

from pathlib import Path

import pytest
from huggingface_hub.utils import close_session

from core.errors import HubBusyError, HubDamagedError, HubUnreachableError
from core.hub import client
from core.hub.cache import HubFolder
from tests.doubles.hub_files import use_hub
from tests.doubles.standin_hub import Fault, StandIn, commit_of, etag

NAME, FILE = "me/mine", "weights.npz"
ASK = {
    "whether it is there": client.check_reachable,
    "a file": lambda: client.describe(NAME, FILE),
    "a folder": lambda: client.list_folder(HubFolder(NAME)),
    "a dataset": lambda: client.describe_dataset(NAME),
    "content": lambda: b"".join(client.stream(client.HubFile(NAME, FILE, "main", 5000, "0" * 64))),
}
asking = pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
asking_more = pytest.mark.parametrize("ask", list(ASK.values())[1:], ids=list(ASK)[1:])


@pytest.fixture
def repository(tmp_path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / FILE).write_bytes(bytes(range(250)) * 20)
    return folder


@pytest.fixture
def hub(tmp_path, repository, monkeypatch):
    with StandIn({NAME: repository}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "cache")
        yield hub


@asking
def test_a_hub_that_takes_a_request_and_says_nothing_is_not_waited_for(hub, monkeypatch, ask):
    monkeypatch.setattr("core.hub.client.READ_S", 0.05)
    monkeypatch.setattr("core.hub.client.REACH_S", 0.05)
    hub.faults.append(Fault("", says_nothing=True))
    with pytest.raises(HubUnreachableError, match=r"127\.0\.0\.1:\d+ did not answer \(ReadTimeout\).*try again"):
        ask()
    assert len(hub.requests) == 1


@asking_more
@pytest.mark.parametrize("fault", [{"status": 429, "headers": {"Retry-After": "3600"}}, {"status": 503}])
def test_a_busy_hub_is_asked_three_times_and_no_longer_waited_for(hub, ask, fault):
    hub.faults.append(Fault("", **fault))
    with pytest.raises(HubBusyError, match=f"status {fault['status']}.*even after several attempts"):
        ask()
    assert len(hub.requests) == 3


@asking_more
def test_a_connection_that_the_hub_closes_before_it_answers_is_made_again(hub, ask):
    hub.faults.append(Fault("", hangs_up=True, times=2))
    ask()
    assert len(hub.requests) == 3


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_a_hub_that_answers_anything_is_there(hub, status):
    hub.faults.append(Fault("HEAD /$", status=status))
    client.check_reachable()
    assert hub.requests == [("HEAD", "/", None, status)]


def test_a_hub_that_closes_its_connections_is_not_there(hub):
    hub.faults.append(Fault("", hangs_up=True))
    with pytest.raises(HubUnreachableError, match="RemoteProtocolError"):
        client.check_reachable()
    assert len(hub.requests) == 1


def test_a_redirect_to_another_host_is_not_followed_for_a_description(hub, repository):
    with StandIn({"storage/x": repository}) as storage:
        target = {"Location": f"{storage.url}/storage/x/resolve/main/{FILE}"}
        described = {"X-Repo-Commit": commit_of(repository), "X-Linked-Etag": etag(repository / FILE)}
        hub.faults.append(Fault("resolve", status=302, headers=target | described | {"X-Linked-Size": "5000"}))
        assert client.describe(NAME, FILE).nbytes == 5000
        hub.faults[:] = [Fault("resolve", status=302, headers=target | described | {"Content-Length": "0"})]
        with pytest.raises(HubDamagedError, match="size None"):  # the redirect's own length is not the file's
            client.describe(NAME, FILE)
        assert storage.requests == []


def test_redirects_in_a_circle_end(hub):
    hub.faults.append(Fault("resolve", status=302, headers={"Location": f"/{NAME}/resolve/main/{FILE}"}))
    with pytest.raises(HubUnreachableError, match="TooManyRedirects"):
        client.describe(NAME, FILE)
    with pytest.raises(HubUnreachableError, match="TooManyRedirects"):
        ASK["content"]()


def test_a_listing_in_pages_is_read_to_its_end(hub, repository):
    for i in range(5):
        (repository / f"{i}.json").write_text("{}")
    hub.page = 2
    expected = [(f"{i}.json", 2) for i in range(5)] + [(FILE, 5000)]
    assert sorted(client.list_folder(HubFolder(NAME))) == expected
    assert hub.count("GET", "/tree/") == 3


@pytest.mark.parametrize(
    "body", [b"<html>", b"\xff\xfe", b"7", b'[{"type": "file"}]', b'["x"]', b'{"id": 7, "sha": 8}', b"[" * 100_000]
)
def test_an_answer_that_is_no_listing_and_names_no_dataset_is_named(hub, body):
    hub.faults.append(Fault("api", body=body))
    with pytest.raises(HubDamagedError, match=r"did not give a list of files.*a proxy may answer"):
        client.list_folder(HubFolder(NAME))
    with pytest.raises(HubDamagedError, match=r"did not name a dataset.*a proxy may answer"):
        client.describe_dataset(NAME)


def test_what_came_before_a_connection_broke_is_not_fetched_again(hub, repository, monkeypatch):
    monkeypatch.setattr("core.hub.client.CHUNK", 1 << 20)
    hub.faults.append(Fault("GET", stop_after=700, times=2))
    file = client.describe(NAME, FILE)
    assert b"".join(client.stream(file)) == (repository / FILE).read_bytes()
    assert [part for _, _, part, _ in hub.requests] == [None, None, "bytes=700-4999", "bytes=1400-4999"]


def test_a_session_that_is_closed_elsewhere_breaks_no_download(hub, repository):
    (repository / FILE).write_bytes(bytes(range(250)) * 8000)
    pieces = client.stream(client.describe(NAME, FILE))
    found = next(pieces)
    close_session()  # as huggingface_hub does in any thread that finds the hub away
    assert found + b"".join(pieces) == (repository / FILE).read_bytes()
    assert hub.count("GET", FILE) == 2

"""Memory of the server while visitors open all pages:   python -m benchmarks.memory [--visitors 8] [--minutes 30]

A fresh server with an empty result cache shows the demo. Each visitor is a session over a websocket, as a browser has
one, but draws nothing: it opens every page, each visitor in another order, and runs it again while it says that work is
going on. Measured is what the server and its child processes hold (VmRSS, summed), sampled four times a second:
when it is ready, the largest while visitors open pages, at the end, and when what runs apart was idle for long enough
to end. The server's own largest is told besides, and the largest sum that counts pages once that several processes
share (Pss), as a container's limit does.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.page import start_server, wait_for_server
from core.installation import PROJECT

DICTIONARY = "demo/layer2-standard-2048"
IDLE_S = 30
"""How long nothing is asked of the server at the end."""
PAGE_S = 120
"""A page that still computes after this time is left."""


class Visitor:
    """One session. It keeps the connection open between pages, as a browser's tab does."""

    def __init__(self, url: str):
        from websockets.sync.client import connect

        address = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
        self._socket = connect(address, legacy=True, subprotocols=["streamlit"], max_size=None, ping_interval=None)
        self.errors: list[str] = []

    def open(self, page: str) -> None:
        """Open a page, and run it again until it says no more that work is going on."""
        until, again, query = time.monotonic() + PAGE_S, True, {"sae": DICTIONARY}
        while again and time.monotonic() < until:
            self._send(page, query)
            again = self._read()
            if again:
                time.sleep(0.5)

    def close(self) -> None:
        self._socket.close()

    def _send(self, page: str, query: dict[str, str]) -> None:
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        message.rerun_script.query_string = urlencode(query)
        message.rerun_script.page_name = page
        self._socket.send(message.SerializeToString())

    def _read(self) -> bool:
        """Read what one run draws; return whether it asks to be run again."""
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        again = False
        while True:
            message = ForwardMsg()
            message.ParseFromString(self._socket.recv(timeout=PAGE_S))
            kind = message.WhichOneof("type")
            again = again or kind == "auto_rerun"
            if kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
                self.errors.append(message.delta.new_element.exception.type)
            if kind == "script_finished" and message.script_finished in (0, 1):  # success, or a file that is broken
                return again


class Meter(threading.Thread):
    """Samples the resident memory of a process and its children."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.highest, self.now, self._ended = pid, 0, 0, threading.Event()
        self.highest_server = self.highest_shared_once = 0

    def run(self) -> None:
        while not self._ended.wait(0.25):
            pids = list(family(self.pid))
            self.now = sum(map(resident, pids))
            self.highest = max(self.highest, self.now)
            self.highest_server = max(self.highest_server, resident(self.pid))
            self.highest_shared_once = max(self.highest_shared_once, sum(map(shared_once, pids)))

    def end(self) -> None:
        self._ended.set()


def family(pid: int) -> Iterator[int]:
    """Yield a process and all that it started."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in found:
            yield from family(int(child))


def resident(pid: int) -> int:
    """Return the bytes that a process holds in memory; 0 of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) * 1024 if found else 0


def shared_once(pid: int) -> int:
    """Return the same with a part of each page that other processes hold too."""
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def pages() -> list[str]:
    """Return the names of all pages in the address; the first one's is empty."""
    return ["", *sorted(path.stem for path in (PROJECT / "pages").glob("*.py") if path.stem != "home")]


def visit(url: str, seed: int, rounds: int, until: float, meter: Meter, said: list[dict]) -> None:
    """Open all pages in one session, `rounds` times, and then again until a time has come."""
    visitor, names = Visitor(url), pages()
    random.Random(seed).shuffle(names)
    for i, name in ((i, name) for i in count() for name in names):
        if i >= rounds and time.monotonic() >= until:
            break
        visitor.open(name)
        said.append({"visitor": seed, "round": i, "page": name or "home", "mb": meter.now / 1e6})
    said += [{"visitor": seed, "error": error} for error in visitor.errors]
    visitor.close()


def measure(visitors: int, rounds: int, minutes: float, *options: str) -> dict:
    """Start a server, send visitors, and return what it held."""
    with tempfile.TemporaryDirectory() as cache:
        server, url = start_server(PROJECT, cache, *options)
        meter, said = Meter(server.pid), []
        try:
            wait_for_server(url, server)
            meter.start()
            time.sleep(12)  # the warm-up imports what the first page needs
            began = {"visitors": visitors, "ready_mb": meter.now / 1e6}
            how = rounds, time.monotonic() + 60 * minutes, meter, said
            threads = [threading.Thread(target=visit, args=(url, i, *how)) for i in range(visitors)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            time.sleep(1)
            ended = {"end_mb": meter.now / 1e6}
            time.sleep(IDLE_S)
            highest = {
                "highest_mb": meter.highest / 1e6,
                "highest_shared_once_mb": meter.highest_shared_once / 1e6,
                "highest_server_mb": meter.highest_server / 1e6,
            }
            return began | highest | ended | {"idle_mb": meter.now / 1e6, "pages": said}
        finally:
            meter.end()
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="how long visitors go on at least")
    parser.add_argument("--options", default="--public", help="options of the app")
    given = parser.parse_args()
    found = measure(given.visitors, given.rounds, given.minutes, *given.options.split())
    for line in found.pop("pages"):
        print(json.dumps(line), file=sys.stderr)
    print(json.dumps({name: round(value, 1) for name, value in found.items()}))


if __name__ == "__main__":
    main()

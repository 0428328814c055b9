"""Memory that was freed goes back to the system."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import threading
from core.work import allocator

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

assert allocator.keep_little()
def work():
    kept = [bytes(1000) for _ in range(100_000)]  # 100 MB in small pieces
    kept[::2] = [None] * 50_000
threads = [threading.Thread(target=work) for _ in range(4)]
before = resident()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
allocator.give_back()
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_threads_freed_in_small_pieces_is_given_back():
    held = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
    assert int(held) < 20_000_000


def test_another_system_is_left_as_it_is(monkeypatch):
    from core.work import allocator

    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_little()
    assert not allocator.give_back()

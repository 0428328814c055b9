"""Work for the process of core.work.apart: functions that it can import, and a thing that is opened by name."""

import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.errors import CorpusError, NotDownloadedError
from core.work.progress import SILENT


class Thing:
    """Opened like a dictionary: it has a hash, and its content is too odd to be sent."""

    def __init__(self, sha256: str):
        self.sha256, self.lock = sha256, threading.RLock()


@dataclass(frozen=True)
class Numbers:
    """A result."""

    values: np.ndarray
    version: ClassVar[int] = 1


def numbers(n, *, progress=SILENT):
    return Numbers(np.arange(n))


def lock(*, progress=SILENT):
    return threading.RLock()


def add(a, b, *, progress=SILENT):
    progress.note("adding")
    progress.update(1, 2)
    progress.update(2, 2)
    return a + b


def pid(*, progress=SILENT):
    return os.getpid()


def hash_of(thing: Thing, *, progress=SILENT):
    return thing.sha256, id(thing), os.getpid()


def fail(how: str, *, progress=SILENT):
    if how == "corpus":
        raise CorpusError("No text. Expected some; choose another.")
    if how == "download":
        raise NotDownloadedError("model", "gpt2", 7)
    raise ZeroDivisionError("a bug")


def print_much(*, progress=SILENT):
    print("library says hello" * 1000)
    return input


def die(*, progress=SILENT):
    os.kill(os.getpid(), signal.SIGKILL)


def report_for_ever(*, progress=SILENT):
    while True:
        time.sleep(0.01)
        progress.update(1, 2)


def say_nothing(*, progress=SILENT):
    while True:
        time.sleep(0.01)

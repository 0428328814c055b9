"""Example texts for the text page; core/text/suited.py keeps those that a model's tokenizer can read."""

ONE = {
    "Python function": '''def read_lines(path, *, encoding="utf-8"):
    """Return the lines of a file, without line breaks."""
    with open(path, encoding=encoding) as file:
        lines = [line.rstrip("\\n") for line in file]
    if not lines:
        raise ValueError(f"{path} is empty")
    return lines
''',
    "Class": """class Counter(dict):
    def __init__(self, values=()):
        super().__init__()
        for value in values:
            self[value] = self.get(value, 0) + 1

    def __repr__(self):
        return f"{type(self).__name__}({dict(self)!r})"
""",
    "Prose": "The statement is executed once for each item of the list. If the list is empty, the body of the loop is "
    "skipped, and the optional else clause is executed instead.\n",
    "Data": '{"name": "loupe", "version": [1, 2, 0], "digest": "sha256-9f86d081884c7d659a2feaa0c55ad015", '
    '"url": "https://example.org/a?b=c"}\n',
}

_CODE = """import os
from pathlib import Path
def total_size(root):
    size = 0
    for path in Path(root).rglob("*"):
        if path.is_file():
            size += os.stat(path).st_size
    return size
class Folder:
    def __init__(self, root):
        self.root = Path(root)
        self.size = total_size(root)
"""
_PROSE = """The size of a folder is the sum of the sizes of its files.
Links are followed, so that a file may be counted twice.
If the folder does not exist, an error is raised.
A folder without files has the size zero.
Hidden files are counted like all others.
The sum is given in bytes, not in blocks.
This may take long if the folder holds many files.
The result is kept until the folder changes.
"""

_IMPORTS = """import os
import sys
import json
from pathlib import Path
from dataclasses import dataclass
import numpy as np
from collections import deque
import re
from functools import cache
import time
"""
_RETURNS = """    return os.path.join(root, name)
    return None
    return json.dumps(data)
    return self.path
    return [item for item in items]
    return np.zeros(3)
    return queue.popleft()
    return match.group(1)
    return cached
    return time.time() - start
"""

TWO = {
    "Imports and returns": (_IMPORTS, _RETURNS),
    "Code and prose": (_CODE, _PROSE),
    "Classes and functions": (
        "class Point:\nclass Line(Shape):\nclass Empty:\nclass Reader(io.BufferedReader):\nclass Error(Exception):\n"
        "class Meta(type):\nclass Node:\n",
        "def point(x, y):\ndef line(a, b=None):\ndef empty():\ndef reader(file, *, size):\ndef error(message):\n"
        "def meta(cls):\ndef node(parent):\n",
    ),
}

PROMPTS = {
    "path or name": ("with open(path) as file:\n    return file", "with open(name) as file:\n    return file"),
    "True or False": (
        "def test(self):\n    self.assertEqual(x, True)",
        "def test(self):\n    self.assertEqual(x, False)",
    ),
    "def or class": ("def Point(x):\n    pass", "class Point(x):\n    pass"),
    # The same words in another order have as many tokens for nearly every tokenizer.
    "cat or dog": ("the cat saw the dog there", "the dog saw the cat there"),
}

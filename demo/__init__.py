"""The demo's training. Only `settings` is needed without it, by tests; the app reads the files alone."""

import os

# Read by tqdm when it is first imported: sae-lens' bars say less than our own lines.
os.environ.setdefault("TQDM_DISABLE", "1")

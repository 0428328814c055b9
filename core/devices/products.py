"""Float32 products that are right: IEEE float32, whatever flag a library has set. Imports torch: import lazily."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_users = 0
_before = "highest"


@contextmanager
def ieee_products() -> Iterator[None]:
    """Hold torch's float32 products at IEEE float32 while anyone is inside; the last to leave puts back what was there.

    TF32 and bfloat16 cut operands to 11 and 8 bits. torch has three names for the flag, and reading one of them raises
    after another was set: this is the only place that sets it, and by one name. It belongs to the process.
    """
    global _users, _before
    with _lock:
        if _users == 0:
            _before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("highest")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                torch.set_float32_matmul_precision(_before)

"""Float32 products that are right: IEEE float32, whatever flag a library has set. Imports torch: import lazily."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from core.work.threads import WhileUsed


@contextmanager
def _highest_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


_ieee = WhileUsed(_highest_precision)


def ieee_products() -> AbstractContextManager[None]:
    """Hold torch's float32 products at IEEE float32 while anyone is inside; the last to leave puts back what was there.

    TF32 and bfloat16 cut operands to 11 and 8 bits. torch has three names for the flag, and reading one of them raises
    after another was set: this is the only place that sets it, and by one name. It belongs to the process.
    """
    return _ieee.held()

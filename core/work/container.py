"""What a container may use of its machine: memory and processors, by Linux' control groups of version 1 and 2.

The host's own amounts say too much there: a process that takes them for its own is killed. Each function takes the
`root` of the file system, so that a test can hand in files. Sources: the kernel's documents cgroup-v2.rst (memory.max,
memory.current, memory.stat, cpu.max) and cgroup-v1/memory.rst.
"""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
_MOUNT = "sys/fs/cgroup"
_NONE = 2**60
"""Version 1 writes no limit as the largest number of pages, in bytes."""


def free_memory_of_container(root: Path = ROOT) -> int | None:
    """Return the bytes that may still be taken, of all groups that this process is in; None without a limit.

    Pages of files that the kernel may drop at any time count as free, as they do for a whole machine.
    """
    free = []
    for group in _groups(root, "memory"):
        most = _number(group / "memory.max") or _number(group / "memory.limit_in_bytes")
        used = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes") or 0
        if most is not None and most < _NONE:
            free.append(max(0, most - max(0, used - _droppable(group))))
    return min(free, default=None)


def cpus_of_container(root: Path = ROOT) -> int | None:
    """Return how many processors this process may keep busy, at least 1; None without a limit.

    A part of a processor is left out: threads that share it would stop each other.
    """
    shares = []
    for group in _groups(root, "cpu"):
        quota, _, period = _text(group / "cpu.max").partition(" ")
        if not quota:
            quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            shares.append(max(1, int(quota) // int(period)))
    return min(shares, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folder of this process' group, and of each group above it, in every hierarchy that has a controller.

    Inside a container the named folder often lies outside of what can be seen; the mount then is the group itself.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            mount = root / _MOUNT
        elif controller in names.split(","):
            mounts = (root / _MOUNT / names, root / _MOUNT / controller)
            mount = next((folder for folder in mounts if folder.is_dir()), mounts[0])
        else:
            continue
        group = mount / path.strip("/")
        while ".." not in group.parts and group != mount:
            yield group
            group = group.parent
        yield mount


def _droppable(group: Path) -> int:
    """Return the bytes of files that were not read lately."""
    for line in _text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdecimal():
            return int(value)
    return 0


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""

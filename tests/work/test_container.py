"""A container's limits, from files such as the kernel writes."""

import pytest

from core.work import memory, threads
from core.work.container import cpus_of_container, free_memory_of_container

GB = 10**9
V1_NONE = "9223372036854771712"


def written(root, files: dict[str, str]):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


V2, V1 = {"proc/self/cgroup": "0::/"}, {"proc/self/cgroup": "4:memory:/docker/ab\n1:cpu,cpuacct:/docker/ab"}
MEMORY = {
    "no files": ({}, None),
    "2: no limit": (V2 | {"sys/fs/cgroup/memory.max": "max", "sys/fs/cgroup/memory.current": "5"}, None),
    "2": (V2 | {"sys/fs/cgroup/memory.max": f"{GB}", "sys/fs/cgroup/memory.current": "300000000"}, 7 * 10**8),
    "2: pages of files": (
        V2
        | {"sys/fs/cgroup/memory.max": f"{GB}", "sys/fs/cgroup/memory.current": "300000000"}
        | {"sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 100000000\nactive_file 5"},
        8 * 10**8,
    ),
    "2: a group above is tighter": (
        {"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/memory.max": f"{2 * GB}"}
        | {"sys/fs/cgroup/a/memory.max": f"{GB}", "sys/fs/cgroup/a/memory.current": f"{GB - 50}"},
        50,
    ),
    "2: over the limit": (V2 | {"sys/fs/cgroup/memory.max": "5", "sys/fs/cgroup/memory.current": "9"}, 0),
    "2: a group that cannot be seen": (
        {"proc/self/cgroup": "0::/../../x", "sys/fs/cgroup/memory.max": f"{GB}", "sys/fs/memory.max": "3"},
        GB,
    ),
    "1: no limit": (V1 | {"sys/fs/cgroup/memory/memory.limit_in_bytes": V1_NONE}, None),
    "1": (
        V1
        | {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GB}"}
        | {"sys/fs/cgroup/memory/memory.usage_in_bytes": "400000000"}
        | {"sys/fs/cgroup/memory/memory.stat": "cache 7\ntotal_inactive_file 100000000"},
        7 * 10**8,
    ),
    "1: its own group": (
        V1
        | {"sys/fs/cgroup/memory/memory.limit_in_bytes": V1_NONE}
        | {"sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes": f"{GB}"},
        GB,
    ),
    "nonsense": (V2 | {"sys/fs/cgroup/memory.max": "-1 or so"}, None),
}
CPUS = {
    "no files": ({}, None),
    "2: no limit": (V2 | {"sys/fs/cgroup/cpu.max": "max 100000"}, None),
    "2": (V2 | {"sys/fs/cgroup/cpu.max": "250000 100000"}, 2),
    "2: a part of one": (V2 | {"sys/fs/cgroup/cpu.max": "20000 100000"}, 1),
    "1: no limit": (
        V1 | {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "1"},
        None,
    ),
    "1": (
        V1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
        3,
    ),
    "nonsense": (V2 | {"sys/fs/cgroup/cpu.max": "1 0"}, None),
}


@pytest.mark.parametrize(("files", "free"), MEMORY.values(), ids=MEMORY.keys())
def test_free_memory_is_that_of_the_tightest_group(tmp_path, files, free):
    assert free_memory_of_container(written(tmp_path, files)) == free


@pytest.mark.parametrize(("files", "cpus"), CPUS.values(), ids=CPUS.keys())
def test_processors_are_those_of_the_tightest_group(tmp_path, files, cpus):
    assert cpus_of_container(written(tmp_path, files)) == cpus


def test_a_container_counts_where_it_is_tighter_than_the_machine(tmp_path):
    machine = {"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 4000000 kB"}
    group = V2 | {"sys/fs/cgroup/memory.max": f"{GB}", "sys/fs/cgroup/cpu.max": "100000 100000"}
    assert memory.free_memory(written(tmp_path, machine)) == 4_096_000_000
    assert memory.free_memory(written(tmp_path, group)) == GB
    assert threads.available_cpus(tmp_path) == 1
    roomy = {"sys/fs/cgroup/memory.max": f"{20 * GB}", "sys/fs/cgroup/cpu.max": "99900000 100000"}
    assert memory.free_memory(written(tmp_path, roomy)) == 4_096_000_000
    assert threads.available_cpus(tmp_path) == threads.available_cpus(tmp_path / "no-such-root")


def test_memory_of_a_system_that_says_nothing_is_two_gibibytes(tmp_path):
    assert memory.free_memory(tmp_path) == 2 * 2**30

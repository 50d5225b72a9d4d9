"""Threads as most programs have them: busy ones, a main thread that waits, changes of CPU."""

import numpy as np
import pytest

from numalab import policy, workload_file
from numalab.engine import simulate

KERNELS = ("linux-6.1", "linux-6.12", "linux-7.2")
BASE = """
workload = {{name = "x", duration_ms = 12000, format = {format}}}
machine = {{cpus_per_node = 2, speed = {{lost_share = 0.0}}}}
tunables = {{scan_delay_ms = 500, scan_period_min_ms = 500}}
{process}
[[vma]]
name = "a"
size_mb = 64
[[task]]
name = "w"
{task}
[[task.access]]
vma = "a"
{access}
"""
RATED = "pages_per_s = 20000"


def run(kernel, task="cpu = 2", access=RATED, process="", file_format=1, replicates=1):
    """Simulate the workload with these lines in it."""
    text = BASE.format(task=task, access=access, process=process, format=file_format)
    return simulate(
        workload_file.parse(text), policy.get(kernel), replicates=replicates, seed=3
    ).isel(replicate=0)


def last(ds, name):
    """Return a counter at the end."""
    return int(ds[name].isel(time=-1))


def home(ds):
    """Pages of the memory that are on node 1 at the end."""
    return int(ds["pages_on_node"].sel(vma="a", node=1))


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_busy_task_runs_all_the_time_and_touches_no_more(kernel):
    """20 000 touches a second of 2 ns are 40 us: asleep it runs for 0.5 ms, and never scans."""
    asleep, busy = run(kernel), run(kernel, "cpu = 2\nbusy = true")
    assert float(asleep["touches"].sum()) == pytest.approx(240_000, rel=0.001)
    assert float(busy["touches"].sum()) == pytest.approx(240_000, rel=0.001)
    assert float(asleep["sum_exec_runtime"].sum()) < 20
    assert float(busy["sum_exec_runtime"].sum()) > 11_990
    assert last(asleep, "numa_pte_updates") == 0
    assert home(busy) == 16384


def test_a_busy_task_computes_while_its_accesses_have_not_begun():
    idle = run("linux-6.12", "cpu = 2\nbusy = true", RATED + "\nstart_ms = 11000")
    assert float(idle["sum_exec_runtime"].sum()) > 11_990
    assert float(idle["touches"].sum()) == pytest.approx(20_000, rel=0.01)


def test_a_busy_task_that_touches_flat_out_is_a_task_that_touches_flat_out():
    busy, plain = (run("linux-6.12", f"cpu = 2\nbusy = {b}", "") for b in ("true", "false"))
    for name in ("numa_pte_updates", "numa_hint_faults", "touches", "sum_exec_runtime"):
        np.testing.assert_array_equal(busy[name], plain[name])


def test_two_busy_tasks_share_a_cpu():
    ds = run("linux-6.12", "count = 2\ncpus = [2, 2]\nbusy = true")
    np.testing.assert_allclose(ds["sum_exec_runtime"], 6000, rtol=0.01)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_main_thread_that_waits_does_nothing_and_is_a_user_of_the_memory(kernel):
    """All other threads are clones: they look at their clock only when a clone's delay is over."""
    ds = run(kernel, "cpu = 2\nbusy = true", file_format=2)
    assert list(ds["task"].values) == ["main-main", "w"]
    assert float(ds["touches"][0]) == 0
    assert float(ds["sum_exec_runtime"][0]) < 20, "what it took to fill the memory"
    assert home(ds) == 16384
    assert set(ds["chunk_task"].values) == {1}, "the other one scans"


def test_a_stack_of_8_mb_takes_its_share_of_a_scan():
    """A scan of 16 MB that marks one page of a stack has walked all of it."""
    small = "[[process]]\nname = 'main'\nmain_thread = 'waits'\nstack_kb = 128"
    walked = {}
    for size, process in (("128", small), ("8192", small.replace("128", "8192"))):
        ds = run("linux-6.1", "cpu = 2\nbusy = true", process=process)
        walked[size] = int(ds["scan_pages"].sel(vma="image:thread-stacks").sum())
    assert walked["8192"] > 30 * walked["128"] > 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_memory_follows_a_task_that_changes_its_cpu(kernel):
    """It starts where its memory is, and goes to the other node after 4 s, as by taskset."""
    move = "cpu = 0\nbusy = true\nmove = [{at_ms = 4000, cpu = 3}]"
    stays, goes = run(kernel, "cpu = 0\nbusy = true"), run(kernel, move)
    assert last(stays, "numa_pages_migrated") == 0
    migrated = goes["numa_pages_migrated"].to_series()
    assert migrated[migrated.index <= 4000].max() == 0
    assert migrated.iloc[-1] > 16_000
    assert home(goes) > 16_000


def test_a_task_that_moves_twice_is_back():
    moves = "cpu = 0\nbusy = true\nmove = [{at_ms = 2000, cpu = 3}, {at_ms = 2004, cpu = 0}]"
    assert last(run("linux-6.12", moves), "numa_pages_migrated") == 0


def runtimes(text):
    """Simulate tasks without memory on two nodes of one CPU; CPU time of each [ms]."""
    head = "workload = {name = 'x', duration_ms = 4000}\n"
    ds = simulate(workload_file.parse(head + text), policy.get("linux-6.12"))
    return ds["sum_exec_runtime"].isel(replicate=0).values


def test_a_task_that_comes_to_a_busy_cpu_gets_its_share_of_it_and_no_more():
    """It ran alone for 2 s; then three share the CPU: 2000 + 667, and 1000 + 667 of the others."""
    came = runtimes("""
    task = [{name = "c", cpu = 1, busy = true, move = [{at_ms = 2000, cpu = 0}]},
            {name = "a", cpu = 0, busy = true}, {name = "b", cpu = 0, busy = true}]""")
    np.testing.assert_allclose(came, [2667, 1667, 1667], atol=15)


def test_a_task_that_leaves_a_shared_cpu_does_not_keep_the_other_from_its_own():
    """It shared a CPU for 2 s and then shares the other: 1000 + 1000, and 2000 + 1000."""
    left = runtimes("""
    task = [{name = "c", cpu = 1, busy = true, move = [{at_ms = 2000, cpu = 0}]},
            {name = "a", cpu = 1, busy = true}, {name = "b", cpu = 0, busy = true}]""")
    np.testing.assert_allclose(left, [2000, 3000, 3000], atol=15)


def test_a_task_that_wakes_up_does_not_catch_up_on_the_time_it_slept():
    """It touches flat out from 2 s on: 1 s of 4, and the other, which never sleeps, 3 s."""
    woke = runtimes("""
    vma = [{name = "v", size_mb = 2}]
    task = [{name = "c", cpu = 0, access = [{vma = "v", start_ms = 2000}]},
            {name = "a", cpu = 0, busy = true}]""")
    np.testing.assert_allclose(woke, [1000, 3000], atol=15)


def test_a_task_that_was_there_before_does_not_wait_for_one_that_came_while_it_slept():
    """Alone until 2 s, away until 3 s, while the other came at 2.2 s; then both share 1 s."""
    back = runtimes("""
    vma = [{name = "v", size_mb = 2}]
    task = [{name = "a", cpu = 0, access = [{vma = "v", stop_ms = 2000},
                                            {vma = "v", start_ms = 3000}]},
            {name = "b", cpu = 0, access = [{vma = "v", start_ms = 2200}]}]""")
    np.testing.assert_allclose(back, [2500, 1300], atol=15)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_whoever_is_listed_first_a_change_of_guard_is_fair(order):
    """One stops when the other begins; the first is back a second later, and then they share."""
    tasks = {
        "a": """{name = "a", cpu = 0, access = [{vma = "v", stop_ms = 2000},
                                                {vma = "v", start_ms = 3000}]}""",
        "b": """{name = "b", cpu = 0, access = [{vma = "v", start_ms = 2000}]}""",
    }
    listed = ", ".join(tasks[name] for name in order)
    ran = runtimes(f"vma = [{{name = 'v', size_mb = 2}}]\ntask = [{listed}]")
    expected = {"a": 2500, "b": 1500}
    np.testing.assert_allclose(ran, [expected[name] for name in order], atol=15)


@pytest.mark.parametrize(
    ("policy_name", "kernel", "scanned"),
    [
        ("default", "linux-6.12", True),
        ("bind", "linux-6.1", False),
        ("bind", "linux-7.2", False),
        ("bind_balancing", "linux-6.1", True),
        ("bind_balancing", "linux-7.2", True),
    ],
)
def test_the_policy_of_a_process_says_whether_it_is_scanned(policy_name, kernel, scanned):
    """``numactl --membind`` of all nodes: no mapping is suitable; with --balancing all are."""
    process = f"[[process]]\nname = 'main'\npolicy = '{policy_name}'"
    ds = run(kernel, "cpu = 2\nbusy = true", process=process)
    assert (last(ds, "numa_pte_updates") > 0) == scanned
    assert home(ds) == (16384 if scanned else 0)


@pytest.mark.parametrize(("kernel", "scanned"), [("linux-6.12", False), ("linux-7.2", True)])
def test_shared_memory_asks_for_the_policy_of_the_task_where_shmem_lets_it(kernel, scanned):
    """Until 6.12 shmem's own get_policy says no, whatever the policy of the task."""
    text = BASE.format(
        task="cpu = 2\nbusy = true",
        access=RATED,
        process="[[process]]\nname = 'main'\npolicy = 'bind_balancing'",
        format=1,
    ).replace("size_mb = 64", "size_mb = 64\nkind = 'shmem'")
    ds = simulate(workload_file.parse(text), policy.get(kernel)).isel(replicate=0)
    assert home(ds) == (16384 if scanned else 0)

"""Keys of a workload file that stand for several tables are written out as those tables."""

import pytest

from numalab import workload_file
from numalab.fields import InputError
from numalab.workload import Move, Process, Task

BASE = """
workload = {{name = "x"{head}}}
machine = {{cpus_per_node = 2}}
{process}
[[vma]]
name = "a"
size_mb = 64
[[task]]
name = "w"
{task}
"""


def read(task="", head="", process=""):
    """Return the workload of a file with these lines in it."""
    return workload_file.parse(BASE.format(task=task, head=head, process=process))


def test_a_count_of_threads_is_that_many_tasks_on_their_cpus_in_turn():
    w = read("count = 5\ncpus = [2, 0]\nbusy = true\naccess = [{vma = 'a', pages_per_s = 5}]")
    assert [t.name for t in w.tasks] == ["w0", "w1", "w2", "w3", "w4"]
    assert [t.cpu for t in w.tasks] == [2, 0, 2, 0, 2]
    assert all(t.busy and t.access == w.tasks[0].access for t in w.tasks)


def test_a_count_without_cpus_keeps_what_the_table_says():
    assert [t.cpu for t in read("count = 2\ncpu = 3").tasks] == [3, 3]
    assert [t.cpu for t in read("count = 2").tasks] == [-1, -1]


def test_a_list_of_one_cpu_is_a_cpu():
    assert read("cpus = [1]").tasks == (Task(name="w", cpu=1),)


def test_format_2_has_a_main_thread_that_waits_and_stacks_of_8_mb():
    w = read(head=", format = 2")
    assert w.tasks == (Task(name="main-main", waits=True), Task(name="w"))
    assert w.processes == (Process(name="main", stack_kb=8192),)


def test_what_a_process_says_goes_before_its_format():
    process = "[[process]]\nname = 'main'\nmain_thread = 'task'\nstack_kb = 64"
    w = read(head=", format = 2", process=process)
    assert w.tasks == (Task(name="w"),)
    assert w.processes == (Process(name="main", stack_kb=64),)


def test_in_format_1_nothing_changes_unless_a_process_says_so():
    plain = read()
    assert read(head=", format = 1") == plain
    assert (plain.tasks, plain.processes) == ((Task(name="w"),), ())
    waits = read(process="[[process]]\nname = 'main'\nmain_thread = 'waits'")
    assert waits.tasks[0] == Task(name="main-main", waits=True)
    assert waits.processes == (Process(name="main"),)


def test_main_threads_stand_before_all_tasks_and_a_churn_has_one_too():
    text = """
    workload = {name = "x", format = 2}
    task = [{name = "w"}]
    churn = [{name = "c", process = "other", size_mb = 2, lifetime_ms = 100}]
    """
    w = workload_file.parse(text)
    assert [t.name for t in w.threads] == ["main-main", "other-main", "w", "c"]
    assert w.process_names == ("main", "other")


def test_a_written_file_says_what_was_meant():
    w = read("count = 2\ncpus = [0, 1]\nmove = [{at_ms = 5, cpu = 3}]", ", format = 2")
    assert w.tasks[1].move == (Move(at_ms=5, cpu=3),)
    assert workload_file.parse(workload_file.text(w)) == w
    assert workload_file.from_tables(workload_file.to_tables(w)) == w


@pytest.mark.parametrize(
    ("task", "head", "message"),
    [
        ("", ", format = 3", "format = 3: must be 1 or 2"),
        ("", ", format = true", "format = True: must be 1 or 2"),
        ("", ", format = []", "format = []: must be 1 or 2"),
        ("cpu = 1\ncpus = [1]", "", "cpu and cpus: say one of them"),
        ("cpus = [0, 1]", "", "cpus names 2 CPUs, count = 1"),
        ("count = 0", "", "count = 0: must be at least 1"),
        ("count = 2\ncpus = [0, 9]", "", '"w1": cpu = 9: the machine has CPUs 0 to 3'),
        ("count = 2\ncpus = [0.5]", "", "cpus[0] = 0.5: must be a whole number"),
        ("waits = true", "", "no task and no churn: nothing would run"),
        ("waits = true\nbusy = true", "", "remove busy"),
        ("waits = true\naccess = [{vma = 'a'}]", "", "remove access"),
        ("move = [{at_ms = 5, cpu = 1}]", "", "move needs a cpu"),
        ("cpu = 0\nmove = [{at_ms = 5}]", "", "[[task.move]]: cpu is missing"),
        ("cpu = 0\nmove = [{at_ms = 5, cpu = 4}]", "", "the machine has CPUs 0 to 3"),
        ("cpu = 0\nmove = [{at_ms = 9e8, cpu = 1}]", "", "the run ends at duration_ms = 20000"),
        (
            "cpu = 0\nmove = [{at_ms = 5, cpu = 1}, {at_ms = 5, cpu = 0}]",
            "",
            "must be after the one before it",
        ),
    ],
)
def test_bad_lines_are_named(task, head, message):
    with pytest.raises(InputError) as error:
        read(task, head)
    assert message in str(error.value)


def test_a_stack_is_whole_pages():
    with pytest.raises(InputError, match="stack_kb = 17 kB: must be whole pages"):
        Process(name="main", stack_kb=17)

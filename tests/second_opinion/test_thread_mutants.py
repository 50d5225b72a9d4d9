"""What is new about threads, made wrong on purpose, is found out by hand and beside the engine."""

import pytest

from tests.second_opinion import (
    cpus,
    kernel_move,
    kernel_policy,
    machine,
    running,
    test_functions,
    test_threads_by_hand,
    test_threads_in_whole_runs,
)
from tests.second_opinion.test_mutants import SEEDS, mutate

pytestmark = pytest.mark.slow
__all__ = ["mutate"]
HAND, WHOLE = test_threads_by_hand, test_threads_in_whole_runs
MUTANTS = [
    (cpus, "(t.spec.busy or not t.spec.access)", "not t.spec.access",
     HAND.test_a_thread_that_computes_between_touches, (True, 400)),
    (cpus, "(t.spec.busy or not t.spec.access)", "not t.spec.access",
     WHOLE.test_a_thread_that_computes_between_touches, ("linux-6.12",)),
    (cpus, "and not t.waits and (t", "and (t",
     WHOLE.test_many_threads_that_wait, ("linux-6.12",)),
    (cpus, "self._ahead(cpu, t) - self._ahead(old, t)", "0",
     HAND.test_a_thread_takes_its_lag_along, ()),
    (cpus, "        if self.flat[old] is t:\n            self.seat(old)\n", "",
     HAND.test_a_thread_changes_node, ()),
    (kernel_move, "    migrate_task_rq_fair(sim, p, cpu)\n", "",
     WHOLE.test_a_thread_that_changes_node, ("linux-6.1",)),
    (kernel_move, "    migrate_task_rq_fair(sim, p, cpu)\n    p.cpu = cpu\n",
     "    p.cpu = cpu\n    migrate_task_rq_fair(sim, p, cpu)\n",
     HAND.test_the_period_of_a_thread_that_changes_cpu, (0, True)),
    (running, "_fall_due(t.streams, a, b)\n        for", "pass\n        for",
     WHOLE.test_busy_threads_take_turns, ()),
    (machine, "    return isinstance(spec, Task) and spec.waits\n", "    return False\n",
     HAND.test_a_thread_that_waits_is_no_load, ()),
    (kernel_policy, "return has_mof(p.mempolicy) and (sim", "return (sim",
     WHOLE.test_the_policy_of_tasks, ("linux-6.12", "bind", "anon")),
    (kernel_policy, "has_mof(p.mempolicy) and (sim.policy.shmem_task_policy or not vma.on_tmpfs)",
     "has_mof(p.mempolicy)",
     WHOLE.test_the_policy_of_tasks, ("linux-6.12", "bind_balancing", "shmem")),
    (kernel_policy, "return has_mof(p.mempolicy) and (sim.policy.shmem_task_policy or not",
     "return sim.policy.shmem_task_policy or (has_mof(p.mempolicy) and not",
     HAND.test_the_policy_of_tasks, ("linux-7.2", "bind", "shmem")),
    (kernel_policy, "return p.mempolicy if vma", "return vma.mempolicy if vma",
     HAND.test_local_faults_of_bound_tasks_leave_a_cpupid, ("bind_balancing",)),
]  # fmt: skip
"""Module, what is right, what is wrong, the test that sees it, and its parameters."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m[3].__name__}: {m[2].strip()[:20]}")
def test_a_wrong_line_is_noticed(mutate, mutant):
    *change, test, parameters = mutant
    test(*parameters)
    mutate(*change)
    with pytest.raises(AssertionError):
        test(*parameters)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@pytest.mark.parametrize(
    ("right", "wrong", "name"),
    [
        ("return has_mof(p.mempolicy) and (sim", "return (sim",
         "mappings_that_are_never_scanned"),
        ("return p.mempolicy if vma", "return vma.mempolicy if vma",
         "mpol_misplaced_and_should_numa_migrate_memory"),
    ],
    ids=["vma_policy_mof", "get_vma_policy"],
)  # fmt: skip
def test_a_wrong_policy_is_noticed(mutate, monkeypatch, right, wrong, name):
    mutate(kernel_policy, right, wrong)
    test = getattr(test_functions, f"test_{name}")
    with pytest.raises(AssertionError):
        for seed in range(SEEDS):
            monkeypatch.setattr(test, "_hypothesis_internal_use_seed", seed)
            test()

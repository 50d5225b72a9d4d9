"""What is new about threads, made wrong on purpose, is found out by hand and beside the engine."""

import pytest

from tests.second_opinion import (
    cpus,
    kernel_memory,
    kernel_move,
    kernel_policy,
    kernel_scan,
    machine,
    running,
    test_functions,
    test_threads_by_hand,
    test_threads_in_whole_runs,
    test_turns_by_hand,
    test_turns_in_whole_runs,
)
from tests.second_opinion.test_mutants import SEEDS, mutate

pytestmark = pytest.mark.slow
__all__ = ["mutate"]
HAND, WHOLE = test_threads_by_hand, test_threads_in_whole_runs
TURN, TURNS = test_turns_by_hand, test_turns_in_whole_runs
CFS, EEVDF = "linux-6.1", "linux-6.12"
MUTANTS = [
    (cpus, "(t.spec.busy or not t.spec.access)", "not t.spec.access",
     HAND.test_a_thread_that_computes_between_touches, (True, 400)),
    (cpus, "(t.spec.busy or not t.spec.access)", "not t.spec.access",
     WHOLE.test_a_thread_that_computes_between_touches, ("linux-6.12",)),
    (cpus, "and not t.waits and (t", "and (t",
     WHOLE.test_many_threads_that_wait, ("linux-6.12",)),
    (cpus, "sim.min_vruntime[cpu] - sim.min_vruntime[t.cpu_of_vruntime]", "0",
     HAND.test_a_thread_takes_its_lag_along, ()),
    (cpus, "for changed in (old, cpu):", "for changed in (cpu,):",
     HAND.test_a_thread_changes_node, ()),
    (kernel_move, "    migrate_task_rq_fair(sim, p, cpu)\n", "",
     WHOLE.test_a_thread_that_changes_node, ("linux-6.1",)),
    (kernel_move, "    migrate_task_rq_fair(sim, p, cpu)\n    p.cpu = cpu\n",
     "    p.cpu = cpu\n    migrate_task_rq_fair(sim, p, cpu)\n",
     HAND.test_the_period_of_a_thread_that_changes_cpu, (0, True)),
    (running, "_fall_due(t, t.streams, a, min(b, t.change_ns) if isinstance(t.spec, Churn) else b)",
     "pass", WHOLE.test_busy_threads_take_turns, ()),
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
    (cpus, "min(sim.w.machine.cpus, 8)", "sim.w.machine.cpus", TURN.test_slices, (CFS, 64, 2, 12)),
    (cpus, "0.0 if sim.policy.eevdf else SCHED_LATENCY_NS / number", "SCHED_LATENCY_NS / number",
     TURNS.test_turns_and_scans_that_wait, (EEVDF, 1, 2, 0.0)),
    (cpus, "SCHED_LATENCY_NS / number", "SCHED_LATENCY_NS",
     TURNS.test_turns_and_scans_that_wait, (CFS, 1, 2, 0.0)),
    (cpus, "if holder is not t:", "if True:",
     TURN.test_two_threads_take_turns, (CFS, "000111000111000")),
    (cpus, "holder.slice_ns < slice_ns", "holder.slice_ns <= slice_ns",
     TURN.test_two_threads_take_turns, (CFS, "000111000111000")),
    (cpus, "    t.behind = ", "    ", TURN.test_a_sleeper_that_is_behind_takes_turns, ()),
    (cpus, "[t for t in behind if t is turn])", "behind)",
     TURN.test_a_sleeper_that_is_behind_takes_turns, ()),
    (cpus, "woken + (", "[] + (", TURN.test_bursts, (1000.0, False, [10, 10, 20])),
    (cpus, "    if sim.turn[t.cpu] is t:\n        t.slice", "    if True:\n        t.slice",
     TURN.test_a_sleeper_in_its_turn_leaves_the_rest_of_the_tick, ()),
    (cpus, "0 if sim.policy.eevdf else scale", "scale",
     TURN.test_how_far_a_sleeper_is_ahead, (EEVDF, 0)),
    (cpus, "flat.vruntime - credit_ns(self.sim)", "0",
     TURN.test_how_far_a_sleeper_is_ahead, (CFS, 9)),
    (running, "        if _loses_cpu(sim, t, cpu, tick):", "        if False:",
     TURN.test_a_scan_waits_for_the_turn_of_its_thread, (CFS,)),
    (running, "        if _loses_cpu(sim, t, cpu, tick):", "        if False:",
     TURNS.test_turns_and_scans_that_wait, (EEVDF, 2, 3, 2000.0)),
    (running, "    if t.debt_ns > 0:\n", "    if False:\n",
     TURN.test_the_end_of_a_pass_waits_too, (EEVDF, 63.24)),
    (running, "    if t.debt_ns > 0:\n", "    if False:\n",
     TURNS.test_the_end_of_a_pass_waits, (EEVDF, 128)),
    (running, "t.spec.busy:\n", "True:\n", TURN.test_bursts, (1000.0, False, [10, 10, 20])),
    (running, "WAKE_NS = 10_000_000", "WAKE_NS = 12_000_000",
     TURNS.test_bursts_beside_a_thread_that_computes, (CFS, 10_000.0, 1)),
    (running, "s.start_ns <= at < s.stop_ns", "True",
     TURN.test_a_burst_begins_when_its_access_is_going_on, ()),
    (running, "            _fall_due(t, t.streams, cursor, min(b, t.change_ns))\n", "",
     TURN.test_a_churn_touches_in_bursts, ()),
    (kernel_memory, " and not page.isolated", "",
     TURN.test_a_fault_on_a_folio_on_its_way, (3, 512)),
    (kernel_memory, "speed.migrate_huge_ns - speed.failed_pass_huge_ns, 0.0", "0.0, 0.0",
     TURNS.test_a_folio_on_its_way, (CFS, 18, 0.0, 3)),
    (kernel_memory, "        moving.page.isolated = True\n", "",
     TURNS.test_a_folio_on_its_way, (CFS, 14, 7.0, 3)),
    (kernel_memory, "moving.page.prot_none = moving.page.isolated = False", "pass",
     TURN.test_a_folio_on_its_way, (56.5, 7, 1)),
    (kernel_scan, "    kernel_memory.go_on_moving(p, math.inf)\n", "",
     TURN.test_a_scan_of_a_thread_that_migrates, ()),
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

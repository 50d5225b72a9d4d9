"""From a recorded run to the start of the model: machine, address space and clocks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from numalab.model.layout import IMAGE_KINDS, Mapping, ProcessSetup, Setup, threads_of, vcpus_of
from numalab.recorded import capture, runlog
from numalab.recorded.scan_times import late_flushes
from numalab.workload import Workload, with_speed


def workload_on_its_machine(folder: Path) -> Workload:
    """Return the workload of a recording, on the machine as it was during the recording.

    The calibration says how fast the machine is. How often another CPU is late to flush its
    TLB depends on what else the host did at the time, so that is measured in the recording:
    the only thing that the model is told of a run after its start.
    """
    workload = capture.workload_of(folder)
    runs = len(capture.manifest(folder)["run"])
    logs = [runlog.sections(capture.log_of(folder, run)) for run in range(runs)]
    speed = dataclasses.replace(workload.machine.speed, **late_flushes(logs))
    return with_speed(workload, speed)


def _kind(region: runlog.Region, workload: Workload) -> str:
    """Kind of a mapping, from its line in /proc/PID/maps."""
    own = {v.name: v.kind for v in workload.vmas}
    if region.label in own:
        return own[region.label]
    if region.permissions.startswith("---"):
        return "guard"
    if region.path.startswith("[vvar"):
        return "vvar"
    if region.path.startswith(("[vdso", "[vsyscall")):
        return "vdso"
    if region.path in ("[heap]", "[stack]"):
        return region.path[1:-1]
    if region.path.startswith("/init"):
        return "file-data" if "w" in region.permissions else "text"
    if region.path.startswith("anon_inode:kvm-vcpu"):
        return "vcpu"
    if region.permissions.endswith("s"):
        return "shared"
    return "data" if region.label == "image:data" else "thread-stack"


def _present(region: runlog.Region, kind: str, workload: Workload) -> tuple[int, ...]:
    """Pages present; a thread's stack gets its first page when the thread starts.

    What a vCPU shares with KVM lies on the node where its thread made it: its own. vCPUs are
    numbered in the order in which they came to be, which is that of the tasks.
    """
    if region.label in {v.name for v in workload.vmas}:
        return ()
    if kind == "thread-stack" and not sum(region.pages_on_node):
        return (1,)
    if kind == "vcpu":
        number = int(region.path.rsplit(":", 1)[1])
        task = vcpus_of(workload)[number]
        node = max(task.cpu, 0) // workload.machine.cpus_per_node
        return tuple(int(n == node) for n in range(workload.machine.nodes))
    return region.pages_on_node


def from_run(found: runlog.Setup, workload: Workload) -> Setup:
    """Start the model where a recorded run started.

    Parameters
    ----------
    found : runlog.Setup
    workload : Workload

    Returns
    -------
    Setup
        Every VMA at its address; pids, CPU time used and the last reset of the scan clock
        (the first clone of a process with several threads, else its fork).
    """
    own = {v.name for v in workload.vmas}
    threads = {t.name: t for t in found.threads}
    processes = []
    for process in found.processes:
        mine = [threads[name] for name in threads_of(workload, process.name)]
        mappings = []
        for region in process.regions:
            kind = _kind(region, workload)
            mappings.append(
                Mapping(
                    start=region.start >> 12,
                    pages=region.pages,
                    kind=kind,
                    owner=region.label if region.label in own else IMAGE_KINDS[kind],
                    offset=region.first_page,
                    present=_present(region, kind, workload),
                )
            )
        clones = [t.created_ms for t in mine[1:]]
        processes.append(
            ProcessSetup(
                name=process.name,
                mappings=tuple(sorted(mappings, key=lambda m: m.start)),
                pids=tuple(t.tid for t in mine),
                runtime_ms=tuple(t.sum_exec_runtime_ms for t in mine),
                reset_ms=min(clones) if clones else process.forked_ms,
                fork_ms=process.forked_ms,
                balancing_ms=found.balancing_ms,
            )
        )
    return Setup(processes=tuple(processes))

"""The command line: init, simulate, sweep, record, calibrate, compare, report, mail, policies.

Heavy imports stand inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from numalab.cli_mail import mail
from numalab.cli_output import (
    check_out,
    dataset_of,
    interruptible,
    leave,
    print_answers,
    save,
    say,
)

app = typer.Typer(
    help="What Linux NUMA-balancing scans cost: on a model, and on real kernels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
FilePath = Annotated[Path, typer.Argument(help="workload file (TOML)")]


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="of the workload; NAME.toml is written here")],
    template: Annotated[
        str, typer.Option(help="churn, database, gpu, guest or key-value")
    ] = "database",
) -> None:
    """Write a commented workload file to begin with."""
    from numalab.templates import begin

    path = begin(name, template, Path.cwd())
    say(f"wrote {path.name}: edit it, then: numalab simulate {path.name}")


@app.command()
def simulate(
    workload: FilePath,
    policy: Annotated[
        str, typer.Option(help="scan policy, POLICY+REMEDY; see 'policies'")
    ] = "linux-7.2",
    seed: Annotated[int, typer.Option(help="root of the random streams")] = 0,
    replicates: Annotated[int, typer.Option(help="independent runs")] = 20,
    out: Annotated[Path | None, typer.Option(help="write the Dataset here (.nc)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Run a workload on the model of a kernel."""
    from numalab import remedies, workload_file
    from numalab.dataset import provenance

    chosen = remedies.get(policy)
    given = workload_file.load(workload)
    check_out(out, workload)
    from numalab.engine import simulate as run

    ds = interruptible(lambda: run(given, chosen, seed=seed, replicates=replicates))
    save(ds, out)
    without = {
        remedy: interruptible(partial(run, given, rest, seed=seed, replicates=replicates))
        for remedy, rest in remedies.without_each(policy).items()
    }
    for table in ("chunks", "notices") if out else ():
        if left_out := provenance(ds)[f"{table}_dropped"]:
            say(f"the table of {table} is full: up to {left_out} of a run are not in it")
    print_answers(ds, as_json, without)


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="sweep file (TOML); see docs/sweeps.md")],
    store: Annotated[
        Path | None, typer.Option(help="folder that keeps results, to resume and to extend")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="write the Dataset here (.nc)")] = None,
    workers: Annotated[int, typer.Option(help="threads; 0: one for each core")] = 0,
    cluster: Annotated[str, typer.Option(help="dask scheduler, such as tcp://HOST:8786")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count the runs, run none")] = False,
) -> None:
    """Run a workload over many values and policies; one Dataset comes back."""
    from numalab.fields import InputError
    from numalab.sweep import Execution, sweep_file
    from numalab.sweep.grid import run
    from numalab.sweep.plan import Plan

    found = sweep_file.load(file)
    if out is None and store is None and not dry_run:
        raise InputError("nothing would be kept: give --store, --out or --dry-run")
    plan = Plan(found, stored=store is not None)
    if dry_run:
        if store is not None:
            plan.look_up(store, say)
        for line in plan.summary():
            typer.echo(line)
        raise typer.Exit(0 if any(point.start for point in plan.points) else 1)
    check_out(out, file, store=store)
    try:
        execution = Execution(store=store, workers=workers, cluster=cluster, log=say)
        ds = run(plan, execution)
    except KeyboardInterrupt as stopped:
        leave(str(stopped) or "stopped")
    save(ds, out, store)
    for line in plan.outcome():
        typer.echo(line)
    if not (ds["status"] == "done").any():
        raise typer.Exit(1)


@app.command()
def record(
    workload: FilePath,
    kernel: Annotated[Path, typer.Option(help="kernel image (bzImage, vmlinuz)")],
    runs: Annotated[int, typer.Option(help="boots, one run each")] = 1,
    seed: Annotated[int, typer.Option(help="of the guest's random draws")] = 0,
    keep: Annotated[Path | None, typer.Option(help="recording folder to write or extend")] = None,
    out: Annotated[Path | None, typer.Option(help="write the Dataset here (.nc)")] = None,
    program: Annotated[str, typer.Option(help="recorder, foreign: docs/recording.md")] = "recorder",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Run a workload on a real kernel, in a QEMU guest with NUMA nodes."""
    from numalab import workload_file

    given = workload_file.load(workload)
    check_out(out, workload)
    from numalab.record.recorder import record as run

    source = workload.read_text()
    ds = run(
        given, kernel, runs=runs, seed=seed, keep=keep, source=source, program=program,
        progress=say,
    )  # fmt: skip
    save(ds, out)
    print_answers(ds, as_json)


@app.command()
def compare(
    simulated: Annotated[
        Path | None, typer.Argument(help="simulated Dataset (.nc); none with --capture")
    ] = None,
    other: Annotated[
        Path | None, typer.Argument(help="recording folder, or any Dataset of that workload")
    ] = None,
    capture: Annotated[
        Path | None, typer.Option(help="recording folder to simulate and compare with")
    ] = None,
    policy: Annotated[
        str, typer.Option(help="to simulate, with --capture; else that of the recorded kernel")
    ] = "",
    replicates: Annotated[int, typer.Option(help="runs of the model, with --capture")] = 200,
    seed: Annotated[int, typer.Option(help="of the model, with --capture")] = 1,
) -> None:
    """Say, counter by counter, whether runs lie where a simulation expects them."""
    from numalab.captures import open_recording
    from numalab.compare import counters, describe
    from numalab.fields import InputError
    from numalab.remedies import get
    from numalab.report.summary import agreement
    from numalab.stats import fewest_runs

    if capture is not None and simulated is not None:
        raise InputError(f"{simulated}: not with --capture, which simulates itself")
    if capture is not None:
        if replicates < fewest_runs():
            raise InputError(f"replicates = {replicates}: must be at least {fewest_runs()}")
        recording = open_recording(capture)
        rules = get(policy) if policy else recording.policy
        sim, rec = recording.simulate(replicates, seed, rules), recording.dataset()
    elif simulated is not None and other is not None:
        sim, rec = dataset_of(simulated), dataset_of(other)
        if sim.attrs["source"] != "simulated":
            raise InputError(f"{simulated}: is {describe(sim)}: the simulated one comes first")
    else:
        raise InputError("give a simulated Dataset and another one, or --capture FOLDER")
    table = agreement(counters(sim, rec))
    typer.echo(f"{describe(rec)}: min, median, max")
    typer.echo(f"{describe(sim)}: median and 95 % prediction interval\n{table}")


@app.command()
def report(
    questions: Annotated[list[str] | None, typer.Argument(help="q01 q02 ...; none: all")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="name=value for one question; name=[a,b]: a run for each value"),
    ] = None,
    params: Annotated[
        Path | None, typer.Option(help="sets of parameters (YAML); see docs/reports.md")
    ] = None,
    quick: Annotated[bool, typer.Option(help="few and short runs; every figure says so")] = False,
    again: Annotated[bool, typer.Option("--again", help="run what has not changed too")] = False,
    workers: Annotated[
        int, typer.Option(min=0, help="notebooks at once; 0: as cores and memory allow")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="folder of the report; else reports, or reports/quick with --quick"),
    ] = None,
) -> None:
    """Run the question notebooks and write reports/index.html."""
    from numalab.report.notebooks import Request, run

    root = Path.cwd()
    out = out or Path("reports/quick" if quick else "reports")
    request = Request(
        names=questions or [], words=param or [], params=params, quick=quick, again=again,
        workers=workers, out=root / out,
    )  # fmt: skip
    failed = run(root, request, say)
    say(f"{'open' if not failed else 'what there is:'} {out}/index.html")
    if failed:
        raise SystemExit(f"numalab: error: failed: {', '.join(failed)}")


app.command()(mail)


@app.command()
def policies() -> None:
    """List the scan policies, their source, and what differs from the one before."""
    from numalab.cli_output import policies as lines

    for line in lines():
        typer.echo(line)


def main(on_interrupt: Any = None) -> None:
    """Run the command line.

    Bad input is one line on stderr and exit status 2; Ctrl-C is one line and exit status 130.

    Parameters
    ----------
    on_interrupt : optional
        Handler of Ctrl-C to set, now that an interrupt of it is a line; None: as it is.
    """
    from numalab.fields import InputError

    # Loading makes a million objects that live to the end: collecting among them while they
    # are made, and tearing them down one by one at the end, costs 0.4 s (docs/performance.md).
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    try:
        if on_interrupt is not None:
            signal.signal(signal.SIGINT, on_interrupt)
        app()
    except InputError as error:
        print(f"numalab: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:  # before a command has begun
        leave("stopped")
    except SystemExit as end:
        stopped = getattr(end.__context__, "__cause__", None)  # typer makes a status of it
        if isinstance(stopped, KeyboardInterrupt):
            print(str(stopped) or "stopped", file=sys.stderr)
        raise

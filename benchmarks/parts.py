"""What a simulation spends where: the engine's loop, laying out the world, all."""

import contextlib
import time

from numalab import engine, policy


@contextlib.contextmanager
def timed(*names):
    """Sum the seconds spent in functions of numalab.engine, by name, while the block runs."""
    spent = dict.fromkeys(names, 0.0)
    kept = {name: getattr(engine, name) for name in names}

    def wrap(name):
        def call(*args, **kwargs):
            began = time.perf_counter()
            try:
                return kept[name](*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - began

        return call

    for name in names:
        setattr(engine, name, wrap(name))
    try:
        yield spent
    finally:
        for name in names:
            setattr(engine, name, kept[name])


def measure(benchmark, workload, *, rounds=11, kernel="linux-7.2", **how):
    """Benchmark simulate(); its loop's and its layout's medians go beside it."""
    rules = policy.get(kernel)
    loops, layouts = [], []

    def once():
        with timed("run", "assemble") as spent:
            ds = engine.simulate(workload, rules, **how)
        loops.append(spent["run"])
        layouts.append(spent["assemble"])
        return ds

    ds = benchmark.pedantic(once, rounds=rounds, warmup_rounds=1)
    assert min(loops) > 0 and min(layouts) > 0, "the parts of simulate() have other names now"
    faults = ds["numa_hint_faults"].isel(time=-1)
    benchmark.extra_info |= {
        "engine_s": sorted(loops[1:])[len(loops[1:]) // 2],
        "layout_s": sorted(layouts[1:])[len(layouts[1:]) // 2],
        "hint_faults": int(faults.median()),
    }
    return ds

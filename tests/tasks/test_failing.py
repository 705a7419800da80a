from __future__ import annotations

import math
import subprocess
import sys

import pytest
from wrapping import BRANIN, Echo, job, jobs

from hptbench.protocol import Status
from hptbench.tasks.failing import Failing

# failing


@pytest.mark.parametrize("kind", ["failed", "not_finite"])
def test_failures_come_at_their_rate_and_cost_what_the_job_costs(kind):
    task = Failing(Echo(BRANIN.space), 0.3, kind)
    outcomes = task.evaluate([job(task, trial=i) for i in range(1000)])
    bad = [o for o in outcomes if not o.hidden]
    assert len(bad) == pytest.approx(300, abs=60)
    assert all(o.cost == 3.0 and o.state is None for o in bad)
    assert all(o.state == "kept" and o.curve[-1].values == (1.0, 2.0) for o in outcomes if o.hidden)
    if kind == "failed":
        assert all(o.status is Status.FAILED and o.message for o in bad)
    else:
        assert all(o.curve[0].values == (1.0, 2.0) and all(map(math.isnan, o.curve[-1].values)) for o in bad)


def test_rates_of_zero_and_one():
    batch = jobs(BRANIN)
    assert Failing(BRANIN, 0.0).evaluate(batch) == BRANIN.evaluate(batch)
    assert {o.status for o in Failing(BRANIN, 1.0).evaluate(batch)} == {Status.FAILED}


def test_raise_raises_and_zero_rate_does_not():
    with pytest.raises(RuntimeError, match="injected failure"):
        Failing(BRANIN, 1.0, "raise").evaluate(jobs(BRANIN))
    for kind in ("raise", "exit", "hang", "memory"):
        assert Failing(BRANIN, 0.0, kind).evaluate(jobs(BRANIN)) == BRANIN.evaluate(jobs(BRANIN))


_CHILD = """
import resource, sys
from hptbench.protocol import Job, Proposal
from hptbench.tasks.failing import Failing
from hptbench.tasks.synthetic import SyntheticTask
task = Failing(SyntheticTask("branin"), 1.0, sys.argv[1])
job = Job(0, 0, Proposal(task.space.default()), 0.0, 1.0, (1, 2, 3, 4))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
print("ready", flush=True)
try:
    task.evaluate([job])
except MemoryError:
    sys.exit(42)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are enforced on Linux only")
@pytest.mark.parametrize(("kind", "code"), [("exit", 1), ("memory", 42), ("hang", None)])
def test_real_failures_happen_in_the_worker(kind, code):
    with subprocess.Popen([sys.executable, "-c", _CHILD, kind], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        if code is None:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.3)
            child.kill()
        else:
            assert child.wait(20) == code

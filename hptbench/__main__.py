"""Command line: ``python -m hptbench +method=bohb``. Imports next to nothing, so that help is quick."""

from __future__ import annotations

import io
import os
import sys

HELP = """\
hptbench: a testbed of hyperparameter optimisation.

Run methods on a suite of tasks with repeated seeds, and compare them:

  python -m hptbench +method=bohb                     BOHB (and random search) on the default suite
  python -m hptbench '+method=[hyperband,bohb]' seeds=10
  python -m hptbench +method=bohb method.bohb.eta=4   a method's own hyperparameters, and how they were chosen:
      method.bohb.provenance='{paper: WHICH}' or '{tuned: {on: [digits], cost: 12 h of processors}}'
  python -m hptbench '+method=[random,bohb]' +method@method.bohb4=bohb method.bohb4.eta=4
  python -m hptbench +experiment=quick                a whole study from conf/experiment/
  python -m hptbench +method=random suite=store suite.path=DIR 'suite.data=[credit_g,vehicle]'

The same command again resumes what was interrupted and skips what is finished.

Commands (the first word; none means run):
  run [SETTINGS]        run a study
  compare RESULTS       compare the methods of a finished study; --help for its options
  publish RESULTS       write what of a study is worth keeping: ranks, tests, costs; --help
  schedule RESULTS      write the schedule that a population based training found; --help
  speedup RESULTS       time to a target and use of the workers, by number of workers; --help
  report RESULTS        one page of figures and conclusions; --watch follows a study that runs; --help
  checklist RESULTS     the check-lists of AutoML-Conf and NAS, filled from the logs
  reproduce write RESULTS --out DIR | check DIR [--smoke]
                        a folder from which others run a study again, and see whether they get the same; --help
  export RESULTS --to optuna | deepcave | ioh | carps
                        a study in the format of another tool
  import FILE --out RESULTS
                        runs made elsewhere (CSV, Optuna's storage) as a study, or evaluations as a table; --help
  list [methods|tasks|suites|learners]
                        what there is, one line each
  fetch openml/31 openml/suite/99 --store DIR
                        data sets, tasks and suites of OpenML, for offline use; --verify
  collect-evaluations suite.path=DIR
                        the same configurations on every data set of a store, as one table; --help
  serve                 ask and tell for any language, as JSON over HTTP; --help
  recommend data=FILE target=COLUMN
                        configurations for your own data set, learnt from others; --help
  meta features | train | evaluate
                        what recommendations are learnt from, and how good they are; --help
  surrogate fit | check benchmarks that answer at once, from a table of evaluations; --help
  doctor                what is installed and usable here

Settings (name=value; + adds what the configuration does not name):
  +method=NAME | [A,B]  methods to run                       list methods
  suite=NAME            embedded (default), smoke, synthetic, synthetic_blackbox, store, openml, pipeline,
                        drifting, forecasting, recommender, training  list suites
  seeds=5 | [3,7]       runs per task and method: that many seeds from 0, or these
  workers=1             workers of a run: simulated, or real with executor=live, ray_live
  simulation.overhead=0 seconds a method thinks per proposal while workers wait; measured: as long as it does
  simulation.spread=0   how unequal simulated workers are: standard deviation of their log slowness
  budget=small          tiny (5 full evaluations), small (20), large (100); or each limit:
  budget.max_full_evals=20 budget.max_jobs=null budget.max_time=null
  budget.cpu_hours=null budget.gpu_hours=null budget.energy_kwh=null
                        a run ends at the first limit reached; budget.reason='…': why so long, in your words
  executor=processes    processes (one run per core), serial, lockstep (batched), live (real time), and on a
                        Ray cluster ray and ray_live: executor.address=auto; docs/CLUSTER.md
  clock=auto            units (time in full evaluations), cost (seconds), auto
  limits.seconds=600 limits.memory_mb=8000
                        what one real training may take
  'ablation={bohb: {eta: [2, 4]}}'
                        run bohb also with each of these changes by itself, as bohb_eta_2 and bohb_eta_4
  'baselines=[random]'  run beside the methods; [] for none
  reference=true        evaluate each task's default configuration, too
  space.LEARNER.PARAMETER.upper=…
                        bounds of a learner's search space
  study=NAME            folder below results=results; default: the suite's name
  hypotheses=[]         [{better: bohb, than: random, at: 20}]: registered before the first run, tested by compare
  meta=none             auto: the chosen methods begin with recommendations for each data set
  shard=3/16            do a sixteenth of the runs, beside others that share the folder; docs/CLUSTER.md
  plot=true             draw the anytime curves

  --cfg job             show the whole configuration and end; --hydra-help for Hydra's own flags
"""


def main() -> None:
    """Run the command named first; exit code 2 and one message for what the user can put right."""
    argv = sys.argv[1:]
    for out in (sys.stdout, sys.stderr):
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="replace")  # a terminal that lacks a character shows another
    # Parallel are the runs, not the library calls; and results must not depend on the number of cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return
    if argv[0] in ("-V", "--version"):
        from hptbench import __version__

        print(f"hptbench {__version__}")
        return
    from hptbench.commands.shell import dispatch

    sys.exit(dispatch(argv))


if __name__ == "__main__":
    main()

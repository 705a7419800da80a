"""What a run writes of its jobs, and of what it was told before it began: values of columns of ``schema.py``."""

from __future__ import annotations

from typing import Any

from hptbench.identity import as_json
from hptbench.ledger import units
from hptbench.protocol import Advice, Record, Status


def advice_row(advice: Advice, learnt_from: int) -> str | None:
    """How much an advice says, and how many trainings it was ``learnt_from``; None if it says nothing."""
    if advice == Advice():
        return None
    said = {name: len(getattr(advice, name)) for name in ("configs", "prior", "ranges", "past")}
    return as_json(said | {"trainings": learnt_from})


def job_row(record: Record, high: float) -> dict[str, Any]:
    """The row of a job without the columns that name its run; ``high``: the fidelity of a full evaluation."""
    job, outcome = record.job, record.outcome
    ok = outcome.status is Status.OK
    last = outcome.curve[-1] if ok else None
    return {
        "job": job.id,
        "trial": job.trial,
        "source": job.proposal.source,
        "start": job.start,
        "stop": job.stop,
        "trained": outcome.trained,
        "units": units(job, outcome.trained, high),
        "units_from_zero": (job.stop if outcome.trained is None else outcome.trained) / high,
        "began": record.began,
        "ended": record.ended,
        "worker": record.worker,
        "cost": outcome.cost,
        "cpu": outcome.cpu,
        "memory": outcome.memory,
        "energy": outcome.energy,
        "gpu": outcome.gpu,
        "gpu_energy": outcome.gpu_energy,
        "left": outcome.left,
        "status": str(outcome.status),
        "message": outcome.message,
        "value": last.values[0] if last else None,
        "values": list(last.values) if last else None,
        "constraints": list(last.constraints) if last else None,
        "test": outcome.hidden.get("test") if ok else None,
        "hidden": as_json(dict(outcome.hidden)),
        "config": as_json(dict(job.proposal.config)),
        "note": as_json(dict(job.proposal.note)),
    }

"""Recommenders by name: what a task of the family ``recommender`` trains. One file each."""

from __future__ import annotations

from functools import cache

from hptbench.errors import unknown
from hptbench.recommenders._base import Factors, Feedback, Interactions, Recommender

__all__ = ["Factors", "Feedback", "Interactions", "Recommender", "find_recommender", "recommenders"]


@cache
def recommenders() -> dict[str, Recommender]:
    """All recommenders by name."""
    from hptbench.recommenders.biased_mf_als import BiasedMFALS
    from hptbench.recommenders.biased_mf_sgd import BiasedMFSGD
    from hptbench.recommenders.bpr import BPR
    from hptbench.recommenders.implicit_als import ImplicitALS

    return {
        "biased_mf_als": BiasedMFALS(),
        "biased_mf_sgd": BiasedMFSGD(),
        "bpr": BPR(),
        "implicit_als": ImplicitALS(),
    }


def find_recommender(name: str) -> Recommender:
    """The recommender of a name; UserError with the nearest spelling if there is none."""
    if name not in recommenders():
        raise unknown("recommender", name, recommenders())
    return recommenders()[name]

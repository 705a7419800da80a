"""hptbench: a testbed of hyperparameter optimisation methods."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hptbench.meta.recommend import recommend as recommend
    from hptbench.meta.which import which_method as which_method
    from hptbench.protocol import Budget as Budget
    from hptbench.protocol import Fidelity as Fidelity
    from hptbench.search_cv import HPTSearchCV as HPTSearchCV
    from hptbench.tasks.evaluated import curves as curves
    from hptbench.tuner import Tuner as Tuner
    from hptbench.tuning import tune as tune

__version__ = "0.1.0"

_WHERE = {
    "Budget": "protocol", "Fidelity": "protocol", "HPTSearchCV": "search_cv", "Tuner": "tuner", "tune": "tuning",
    "recommend": "meta.recommend", "which_method": "meta.which", "curves": "tasks.evaluated",
}  # fmt: skip
"""What users need, by module: imported when it is used, so that the package itself imports next to nothing."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_WHERE)}")
    return getattr(_import_module(f"{__name__}.{_WHERE[name]}"), name)

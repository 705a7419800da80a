"""Conformance suites for methods and tasks, shipped so that you can test your own.

from hptbench.testing import METHOD_CHECKS, TASK_CHECKS

@pytest.mark.parametrize("check", METHOD_CHECKS, ids=lambda check: check.__name__)
def test_my_method(check):
    check(MyMethod())
"""

from hptbench.testing.methods import METHOD_CHECKS
from hptbench.testing.tasks import TASK_CHECKS

__all__ = ["METHOD_CHECKS", "TASK_CHECKS"]

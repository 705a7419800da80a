from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def demsar() -> np.ndarray:
    """Losses (14, 4): 1 - AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf, the worked example of Demšar,
    JMLR 7, 2006, table 6. Voting's last AUC is 0.975 in print, but ranked below the other 0.975."""
    auc = """
        .763 .768 .771 .798   .599 .591 .590 .569   .954 .971 .968 .967   .628 .661 .654 .657
        .882 .888 .886 .898   .936 .931 .916 .931   .661 .668 .609 .685   .583 .583 .563 .625
        .775 .838 .866 .875   1.00 1.00 1.00 1.00   .940 .962 .965 .962   .619 .666 .614 .669
        .972 .981 .975 .9749  .957 .978 .946 .970"""
    return 1 - np.array(auc.split(), dtype=float).reshape(14, 4)

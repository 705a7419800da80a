"""Series: those bundled with statsmodels, and a file of one's own. Nothing is fetched from the network.

name              values               period  origin and licence, as statsmodels' data set says
----------------  -------------------  ------  --------------------------------------------------------------------
nile              100 years            1       flow at Aswan, 1871-1970 (Cobb, Biometrika 65, 1978); public domain
sunspots          309 years            1       sunspot numbers, 1700-2008 (NGDC); public domain; a cycle of about 11
                                               years is no season
co2               526 months           12      Mauna Loa, 1958-2001 (Keeling & Whorf, CDIAC, 2004); public domain; the
                                               means of months from weeks, 5 missing ones interpolated
elnino            732 months           12      sea surface temperature, Nino 1+2, 1950-2010 (NOAA); public domain
elec_equip        257 months           12      turnover of electrical equipment, euro area, 1995-2016 (Eurostat); public
                                               domain
realgdp, realinv  203 quarters         4       United States, 1959-2009, seasonally adjusted (FRED, macrodata); public
                                               domain
tbilrate, unemp   203 quarters         4       the same, in per cent
german_inflation  107 quarters         4       1972-1998 (Luetkepohl's file E6, JMulTi, interest_inflation), not
                                               adjusted, partly negative; no licence is stated

A file is parquet with a column ``value`` (numbers at equal distances, none missing), in the order of time.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.space import Floats
from hptbench.tasks._parquet import read_parquet

if TYPE_CHECKING:
    import pandas as pd


class Source(NamedTuple):
    """Where a bundled series is, and its season."""

    module: str
    """Of statsmodels.datasets."""
    period: int
    take: Callable[[pd.DataFrame], Any]
    """(n,) the series from the data set's frame."""


def _column(name: str) -> Callable[[Any], Any]:
    return lambda frame: frame[name]


def _months(frame: Any) -> Any:
    return frame["co2"].resample("MS").mean().interpolate()


BUNDLED: Mapping[str, Source] = {
    "nile": Source("nile", 1, _column("volume")),
    "sunspots": Source("sunspots", 1, _column("SUNACTIVITY")),
    "co2": Source("co2", 12, _months),
    "elnino": Source("elnino", 12, lambda frame: frame.drop(columns="YEAR").to_numpy().ravel()),
    "elec_equip": Source("elec_equip", 12, lambda frame: frame.iloc[:, 0]),
    "realgdp": Source("macrodata", 4, _column("realgdp")),
    "realinv": Source("macrodata", 4, _column("realinv")),
    "tbilrate": Source("macrodata", 4, _column("tbilrate")),
    "unemp": Source("macrodata", 4, _column("unemp")),
    "german_inflation": Source("interest_inflation", 4, _column("Dp")),
}


def period_of(data: str, path: str | None) -> int | None:
    """Values per season of a bundled series, without loading it; None for a file, which does not say."""
    if path is not None:
        return None
    if data not in BUNDLED:
        raise unknown("series (statsmodels'; set path to a parquet file for others)", data, BUNDLED)
    return BUNDLED[data].period


@lru_cache(maxsize=64)
def load(data: str, path: str | None) -> Floats:
    """(n,) the whole series, read-only. UserError for a file that cannot be used."""
    if path is None:
        source = BUNDLED[data]
        module = importlib.import_module(f"statsmodels.datasets.{source.module}")
        y = np.array(source.take(module.load_pandas().data), np.float64)
    else:
        y = _read(Path(path).expanduser())
    y.flags.writeable = False
    return y


def licence(data: str, path: str | None) -> str | None:
    """As statsmodels' data set states it; None: it states none, nor does a file."""
    if path is not None:
        return None
    stated: str = importlib.import_module(f"statsmodels.datasets.{BUNDLED[data].module}.data").COPYRIGHT.strip(" .")
    return stated or None


def fingerprint(data: str, path: str | None) -> str:
    """The SHA-256 of a series' values."""
    return hashlib.sha256(load(data, path).astype("<f8").tobytes()).hexdigest()


def _read(file: Path) -> Floats:
    frame = read_parquet(file, "series")
    if "value" not in frame:
        raise UserError(f"{file}: expected a column 'value', got {', '.join(map(str, frame.columns)) or 'none'}")
    from pandas.api import types

    if not types.is_numeric_dtype(frame["value"].dtype) or types.is_complex_dtype(frame["value"].dtype):
        raise UserError(f"{file}: expected numbers in the column 'value', got {frame['value'].dtype}; convert them")
    y = frame["value"].to_numpy(np.float64, na_value=np.nan).copy()
    if bad := int((~np.isfinite(y)).sum()):
        raise UserError(f"{file}: expected finite values, got {bad} that are missing or infinite; fill them in")
    return y

"""Gradients of the deep kernel by differences; what it predicts, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest

from hptbench.models.deep_kernel import DeepKernel, Rows


def _rows(n: int, rng: np.random.Generator) -> Rows:
    return Rows(rng.random((n, 4)), rng.random((n, 6)))


def test_gradients_are_those_of_differences() -> None:
    rng = np.random.default_rng(0)
    rows, y, model = _rows(20, rng), rng.standard_normal(20), DeepKernel(4, rng, hidden=5, features=7)
    for name in ("length", "signal", "noise", "mean"):
        model.parameters[name][:] = rng.standard_normal(1)
    _, gradient = model.loss(rows, y)
    for name, values in model.parameters.items():
        flat, numeric = values.reshape(-1), np.empty(values.size)
        for i, old in enumerate(flat.tolist()):
            ends = []
            for flat[i] in (old + 1e-6, old - 1e-6):
                ends.append(model.loss(rows, y)[0])
            flat[i] = old
            numeric[i] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(gradient[name].reshape(-1), numeric, atol=1e-7, err_msg=name)


def test_the_process_interpolates_and_is_unsure_elsewhere() -> None:
    rng = np.random.default_rng(1)
    rows, y, model = _rows(12, rng), rng.standard_normal(12), DeepKernel(4, rng)
    model.train(rows, y, 300, 1e-2, 64, rng)
    mean, variance = model.predict(rows, y, rows)
    far = Rows(rows.x + 50, rows.curve)
    assert np.corrcoef(mean, y)[0, 1] > 0.9
    assert model.predict(rows, y, far)[1].min() > variance.max()


def test_training_lowers_the_loss_and_learns_from_curves() -> None:
    rng = np.random.default_rng(2)
    rows = _rows(60, rng)
    y = 3 * rows.curve[:, :3].sum(axis=1)
    y = (y - y.mean()) / y.std()
    model = DeepKernel(4, rng)
    before = model.loss(rows, y)[0]
    model.train(rows, y, 400, 1e-2, 32, rng)
    assert model.loss(rows, y)[0] < before - 0.3


def test_one_observation_teaches_nothing() -> None:
    rng = np.random.default_rng(3)
    model = DeepKernel(4, rng)
    old = {name: value.copy() for name, value in model.parameters.items()}
    model.train(_rows(1, rng), np.zeros(1), 10, 1e-2, 64, rng)
    assert all(np.array_equal(old[name], value) for name, value in model.parameters.items())


@pytest.mark.parametrize("pad", [0, 5])
def test_zeros_after_a_curve_of_positive_scores_change_little(pad: int) -> None:
    """The convolution's maximum sees at most two more windows, and those of zeros."""
    rng = np.random.default_rng(4)
    model, rows, y = DeepKernel(4, rng), _rows(10, rng), rng.standard_normal(10)
    model.parameters["filter"][:] = np.abs(model.parameters["filter"])  # then windows of zeros are never the maximum
    longer = Rows(rows.x, np.concatenate([rows.curve, np.zeros((10, pad))], axis=1))
    np.testing.assert_allclose(model.predict(rows, y, rows)[0], model.predict(longer, y, longer)[0], atol=0.3)

"""Networks, trained many at a time as one program (docs/NEURAL.md, docs/adr/0005)."""

from hptbench.tasks.neural import cell, cnn, darts, forecast, macro, mlp, one_shot, rl, text


def check_device() -> str:
    """What is trained on here, and whether results depend on how many are trained at once. RuntimeError if they depend
    on the place."""
    from hptbench.tasks.neural._invariance import same_in_any_tile
    from hptbench.tasks.neural._nets import MLP
    from hptbench.tasks.neural._trainer import alone, best_device

    device = best_device()
    with alone():
        same = same_in_any_tile(MLP(16, (32, 24), 16, shallow=True), False, (16,), 3, mlp.NeuralMLP.tile, device)
    size = "tiles of any size give the same bits" if same else "tiles are always filled up"
    return f"for suite=neural, on {device}: {size}"


__all__ = ["cell", "check_device", "cnn", "darts", "forecast", "macro", "mlp", "one_shot", "rl", "text"]

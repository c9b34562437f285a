"""Training is a function of its configuration: however often it is killed, and over however many processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from sciml.errors import ConfigurationError, RunError, TrainingError
from sciml.files import read_tensors
from sciml.training import History, Trainer, TrainingConfig, TrainingInterrupted

ROOT = Path(__file__).resolve().parents[2]

# One script for every process that these tests start: `python -c JOB directory steps output`.
JOB = """
import sys, torch
from torch import nn
from sciml.files import write_tensors
from sciml.training import Trainer, TrainingConfig

torch.set_num_threads(1)
torch.manual_seed(0)
directory, steps, output = sys.argv[1:]
module = nn.Sequential(nn.Conv1d(1, 8, 3, padding=1), nn.GELU(), nn.Dropout(0.1), nn.Conv1d(8, 1, 3, padding=1))
if directory == "none":
    module[2] = nn.Identity()  # dropout differs between processes, as it should
x = torch.randn(26, 1, 16, generator=torch.Generator().manual_seed(1))

def loss(module, batch, generator):
    flip = torch.rand(1, generator=generator) < 0.5
    x, y = (v.flip(-1) if flip else v for v in (batch["x"], batch["y"]))
    return (module(x) - y).square().mean()

def show(progress):
    print(progress.step, flush=True)

config = TrainingConfig(steps=int(steps), checkpoint_seconds=0.0)
trainer = Trainer(config, None if directory == "none" else directory, show)
history = trainer.fit(module, loss, {"x": x, "y": x.cumsum(-1)})
write_tensors(output, module.state_dict(), {"rows": len(history.rows)})
"""


def job(directory, steps, output, **environment):
    command = [sys.executable, "-c", JOB, str(directory), str(steps), str(output)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)


def line():
    """A linear net and data that it fits exactly."""
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 32)[:, None]
    return nn.Linear(1, 1), {"x": x, "y": 3 * x + 1}


def squared(module, batch, generator):
    return (module(batch["x"]) - batch["y"]).square().mean()


def interrupt_at_step_5(progress):
    if progress.step == 5:
        os.kill(os.getpid(), signal.SIGINT)


def test_killed_and_resumed_training_ends_with_the_same_bits(tmp_path):
    """kill -9 in the middle, twice; then the same command again: weights equal those of an undisturbed run."""
    whole = job(tmp_path / "whole", 40, tmp_path / "whole.safetensors")
    for last in ("9", "23"):
        process = job(tmp_path / "torn", 40, tmp_path / "torn.safetensors")
        assert any(step.strip() == last for step in process.stdout)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    resumed = job(tmp_path / "torn", 40, tmp_path / "torn.safetensors")
    first = int(resumed.stdout.readline())
    resumed.communicate()
    whole.communicate()
    assert (whole.returncode, resumed.returncode) == (0, 0)
    assert 23 <= first <= 25
    expected, found = (read_tensors(tmp_path / f"{name}.safetensors") for name in ("whole", "torn"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_two_processes_take_the_steps_of_one(tmp_path):
    """The gradient of a batch is the mean of its shares' gradients."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    rooms = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    outputs = [tmp_path / f"{name}.safetensors" for name in ("0", "1", "single")]
    pair = [job("none", 20, outputs[rank], RANK=str(rank), LOCAL_RANK=str(rank), **rooms) for rank in (0, 1)]
    for process in pair:
        process.communicate(timeout=120)
    single = job("none", 20, outputs[2])
    single.communicate(timeout=120)
    assert [process.returncode for process in (*pair, single)] == [0, 0, 0]
    first, second, expected = (read_tensors(path) for path in outputs)
    for name in expected:
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], expected[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_is_kept_and_goes_on(tmp_path, number):
    module, data = line()
    config = TrainingConfig(steps=30, checkpoint_seconds=1e9)

    def interrupt(progress):
        if progress.step == 12:
            os.kill(os.getpid(), number)

    trainer = Trainer(config, tmp_path, interrupt)
    with pytest.raises(TrainingInterrupted, match=r"step 13.*43%.*the same command goes on") as caught:
        trainer.fit(module, squared, data)
    assert isinstance(caught.value, KeyboardInterrupt)
    assert caught.value.signal_number == number
    assert trainer.remaining()

    steps = []
    again = Trainer(config, tmp_path, lambda progress: steps.append(progress.step))
    resumed, _ = line()
    history = again.fit(resumed, squared, data)
    assert steps == list(range(14, 31))
    undisturbed, _ = line()
    expected = Trainer(config).fit(undisturbed, squared, data)
    assert torch.equal(undisturbed.weight, resumed.weight)
    assert [row["train_loss"] for row in history.rows] == [row["train_loss"] for row in expected.rows]
    again.clear()
    assert list(tmp_path.iterdir()) == []


def test_elapsed_seconds_go_on_after_a_resume(tmp_path):
    module, data = line()
    config = TrainingConfig(budget_seconds=0.6)
    late = []

    def interrupt(progress):
        late.append(progress.fraction > 0.5)
        if sum(late) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        Trainer(config, tmp_path, interrupt).fit(module, squared, data)
    began = time.perf_counter()
    seen = []
    history = Trainer(config, tmp_path, lambda progress: seen.append(progress.seconds)).fit(module, squared, data)
    assert seen[0] > 0.3
    assert history.seconds >= 0.6
    assert history.seconds - seen[0] < time.perf_counter() - began < 5


def test_validation_and_display_are_free_and_preparation_is_not():
    module, data = line()
    grads = []

    def validate():
        grads.append((module.training, torch.is_grad_enabled()))
        time.sleep(0.1)
        return 0.25

    config = TrainingConfig(budget_seconds=0.5, validations=5)
    began = time.perf_counter()
    history = Trainer(config, progress=lambda _: time.sleep(1e-3)).fit(module, squared, data, validate, spent=0.3)
    wall = time.perf_counter() - began
    assert grads == [(False, False)] * len(grads)
    assert module.training
    # Twice a fifth of the budget is left after the preparation, so three to five of five measurements are due.
    assert 1 <= len(grads) <= 5
    assert wall > 0.2 + 0.1 * len(grads)
    assert 0.5 <= history.seconds < 0.5 + wall
    assert history.rows[0]["seconds"] > 0.3
    assert history.validation_error == 0.25


def test_the_learning_rate_follows_progress():
    module, data = line()
    config = TrainingConfig(steps=100, learning_rate=0.1, warmup=0.2, final_fraction=0.01)
    rates = [row["learning_rate"] for row in Trainer(config).fit(module, squared, data).rows]
    assert max(rates) == rates[20] == pytest.approx(0.1)
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] < 0.002


def test_training_fits_and_every_precision_trains_in_one_process():
    for precision in ("fp32", "bf16", "fp32"):
        module, data = line()
        config = TrainingConfig(steps=300, learning_rate=0.05, precision=precision)
        Trainer(config).fit(module, squared, data)
        assert module.weight.dtype == torch.float32
        assert module.weight.item() == pytest.approx(3, rel=2e-2)
        assert "forward" not in module.__dict__


def test_the_users_random_stream_is_left_alone():
    module, data = line()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Trainer(TrainingConfig(steps=3)).fit(module, squared, data)
    assert torch.equal(torch.rand(3), expected)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    module, data = line()
    Trainer(TrainingConfig(steps=5), tmp_path).fit(module, squared, data)
    others = [
        (TrainingConfig(steps=6), module, data),
        (TrainingConfig(steps=5, learning_rate=1e-4), module, data),
        (TrainingConfig(steps=5), nn.Sequential(module), data),
        (TrainingConfig(steps=5), module, {**data, "y": data["y"] + 1}),
    ]
    for config, net, arrays in others:
        with pytest.raises(RunError, match="checkpoint is of another training"):
            Trainer(config, tmp_path).fit(net, squared, arrays)
    watched = TrainingConfig(steps=5, checkpoint_seconds=3, validations=2)
    assert Trainer(watched, tmp_path).fit(module, squared, data).steps == 5


def test_a_damaged_checkpoint_is_refused(tmp_path):
    module, data = line()
    Trainer(TrainingConfig(steps=5), tmp_path).fit(module, squared, data)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RunError, match="truncated"):
        Trainer(TrainingConfig(steps=5), tmp_path).fit(module, squared, data)


def test_a_loss_that_is_not_finite_ends_training_before_it_spoils_the_weights(tmp_path):
    module, data = line()
    calls = []

    def exploding(net, batch, generator):
        calls.append(1)
        return squared(net, batch, generator) * (float("nan") if len(calls) > 7 else 1)

    with pytest.raises(TrainingError, match=r"step 7: loss nan.*smaller learning rate.*last good state"):
        Trainer(TrainingConfig(steps=20, checkpoint_seconds=0), tmp_path).fit(module, exploding, data)
    assert module.weight.isfinite().all()
    assert read_tensors(tmp_path / "checkpoint.safetensors")["module.weight"].isfinite().all()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ],
    ids=["python", "cuda", "cpu"],
)
def test_out_of_memory_suggests_half_the_batch(error):
    module, data = line()

    def greedy(*_):
        raise error

    with pytest.raises(TrainingError, match="out of memory with batches of 8 samples: use batch_size=4"):
        Trainer(TrainingConfig(steps=2)).fit(module, greedy, data)


def test_other_errors_of_the_loss_are_not_disguised():
    module, data = line()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        Trainer(TrainingConfig(steps=2)).fit(module, lambda m, b, g: m(b["x"].T).sum(), data)
    assert not isinstance(caught.value, TrainingError)


def test_complex_parameters_and_channels_last_weights_resume_exactly(tmp_path):
    """A fused optimiser walks through memory, so the moments must be laid out as their parameters are."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 4, 3, padding=1).to(memory_format=torch.channels_last)
            self.spectral = nn.Parameter(torch.randn(4, dtype=torch.complex64)) if with_complex else None

        def forward(self, x):
            y = self.conv(x).mean((-2, -1))
            return y if self.spectral is None else (y * self.spectral).real

    x = torch.randn(16, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    data = {"x": x, "y": x.mean((-2, -1))[:, [0, 1, 2, 0]]}
    config = TrainingConfig(steps=12, learning_rate=0.05)
    for with_complex in (False, True):
        directory = tmp_path / str(with_complex)
        whole, torn, resumed = Net(), Net(), Net()
        Trainer(config).fit(whole, squared, data)
        with pytest.raises(TrainingInterrupted):
            Trainer(config, directory, interrupt_at_step_5).fit(torn, squared, data)
        Trainer(config, directory).fit(resumed, squared, data)
        assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_training_outside_the_main_thread_works_without_signals():
    module, data = line()
    results = []
    worker = threading.Thread(
        target=lambda: results.append(Trainer(TrainingConfig(steps=3)).fit(module, squared, data).steps)
    )
    worker.start()
    worker.join()
    assert results == [3]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"budget_seconds": -1.0}, "budget_seconds = -1"),
        ({"budget_seconds": None}, "neither budget_seconds nor steps"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"precision": "fp8"}, "precision = 'fp8': use one of fp32, bf16"),
        ({"clock": "sun"}, "clock = 'sun': use one of wall, cpu"),
    ],
)
def test_settings_out_of_range_are_named(values, message):
    with pytest.raises(ConfigurationError, match=message):
        TrainingConfig(**values)


def test_arrays_of_different_length_are_refused():
    module, data = line()
    with pytest.raises(ConfigurationError, match="equal length"):
        Trainer(TrainingConfig(steps=1)).fit(module, squared, {**data, "y": data["y"][:3]})


def test_a_damaged_history_is_refused():
    history = History()
    history.add(step=3, seconds=0.1, learning_rate=1e-3, train_loss=1 / 3, validation_error=None)
    assert History.from_csv(history.to_csv()) == history
    for text in ("", "step,loss\n", history.to_csv() + "4,0.2", history.to_csv() + "4,0.2,x,1,1\n"):
        with pytest.raises(RunError, match="history"):
            History.from_csv(text)

"""The one training loop: any module, any loss, data in memory; on one device, under torchrun, resumable exactly."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.state import AcceleratorState  # type: ignore[import-untyped]
from torch import Generator, Tensor, nn

from sciml.errors import ConfigurationError, TrainingError
from sciml.training.batches import Batches, generator_for
from sciml.training.checkpoint import Checkpoint, fingerprint
from sciml.training.clock import Interrupts, Stopwatch, TrainingInterrupted
from sciml.training.config import TrainingConfig
from sciml.training.history import History

__all__ = ["Loss", "Progress", "Trainer"]

Loss = Callable[[nn.Module, dict[str, Tensor], Generator], Tensor]

ROWS = 100  # rows of a history, at equal fractions of the budget


@dataclass(frozen=True)
class Progress:
    """Where a training stands, for whoever displays it."""

    fraction: float
    step: int
    seconds: float
    train_loss: float
    validation_error: float | None


class Trainer:
    """Trains modules by AdamW within a budget; with a directory, it can be killed at any moment and goes on exactly.

    Parameters
    ----------
    config
        Budget, optimiser, schedule.
    directory
        Where the checkpoint is kept while training runs; None keeps none.
    progress
        Called after every step with a `Progress`; its time is not charged.

    Examples
    --------
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> def loss(module, batch, generator):
    ...     return (module(batch["x"]) - batch["y"]).square().mean()
    >>> trainer = Trainer(TrainingConfig(steps=200, learning_rate=0.1))
    >>> history = trainer.fit(nn.Linear(1, 1), loss, {"x": x, "y": 3 * x})
    >>> history.rows[-1]["train_loss"] < 1e-2
    True
    """

    def __init__(
        self,
        config: TrainingConfig | None = None,
        directory: Path | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.config = config if config is not None else TrainingConfig()
        self.directory = directory
        self.progress = progress
        self._written: list[Checkpoint] = []

    def fit(
        self,
        module: nn.Module,
        loss: Loss,
        data: Mapping[str, Tensor],
        validate: Callable[[], float] | None = None,
        spent: float = 0.0,
        stage: str = "",
        prepare: Callable[[float], None] | None = None,
    ) -> History:
        """Train ``module`` in place and return the course of its training.

        Parameters
        ----------
        module
            Its parameters with ``requires_grad`` are trained. It is moved to the accelerator where there is one.
        loss
            ``loss(module, batch, generator)`` returns a scalar: the mean over the batch. It must call the module that
            it is given; the generator, on the CPU, draws augmentation and is the same in every process.
        data
            Name to array; one row a sample, the same number in each.
        validate
            Called in evaluation mode without gradients; its time is not charged.
        spent
            Seconds that preparation has already taken, charged to the budget.
        stage
            Tells the checkpoints of a learner that calls `fit` more than once apart.
        prepare
            Called before every step with the progress in [0, 1]: for schedules, and for constraints on the weights.

        Raises
        ------
        TrainingError
            If the loss or its gradient is not finite, or memory runs out.
        TrainingInterrupted
            After Ctrl-C or SIGTERM, once the checkpoint is written.
        RunError
            If the directory holds the checkpoint of another training, or the disk is full.
        """
        counts = {name: len(array) for name, array in data.items()}
        if len(set(counts.values())) != 1:
            raise ConfigurationError(f"training data: arrays of equal length are expected, found {counts or 'none'}.")
        checkpoint = None
        if self.directory is not None:
            identity = fingerprint(self.config, module, data)
            name = f"checkpoint-{stage}.safetensors" if stage else "checkpoint.safetensors"
            checkpoint = Checkpoint(Path(self.directory) / name, identity)
            self._written.append(checkpoint)
        was_training = module.training
        with (
            torch.random.fork_rng(devices=[]),
            _out_of_memory_named(self.config.batch_size),
            _accelerated(self.config, module) as engine,
            Interrupts() as interrupts,
        ):
            course = _Course(self.config, engine, loss, data, checkpoint, Stopwatch(self.config.clock, spent))
            course.resume()
            course.run(validate, self.progress, interrupts, prepare)
        module.train(was_training)
        return course.history

    def remaining(self) -> bool:
        """Whether a checkpoint waits in the directory."""
        return self.directory is not None and any(Path(self.directory).glob("checkpoint*.safetensors"))

    def clear(self) -> None:
        """Remove the checkpoints of finished trainings; call it once the weights are written."""
        for checkpoint in self._written:
            checkpoint.remove()
        self._written.clear()


@dataclass
class _Engine:
    """A module with its optimiser, prepared for device, processes and precision."""

    accelerator: Accelerator
    bare: nn.Module
    wrapped: nn.Module
    optimizer: torch.optim.Optimizer

    @property
    def main(self) -> bool:
        return self.accelerator.is_main_process

    def agreed(self, *numbers: float) -> list[float]:
        """The mean over all processes, so that every one takes the same decision."""
        if self.accelerator.num_processes == 1:
            return list(numbers)
        mine = torch.tensor(numbers, dtype=torch.float64, device=self.accelerator.device)
        return [float(value) for value in self.accelerator.reduce(mine, "mean")]


@contextmanager
def _accelerated(config: TrainingConfig, module: nn.Module) -> Iterator[_Engine]:
    _require_precision(config.precision)
    # Accelerate keeps the precision for the whole process; another training may want another one.
    AcceleratorState._reset_state()
    try:
        accelerator = Accelerator(
            mixed_precision={"fp32": "no", "bf16": "bf16"}[config.precision],
            cpu=not torch.accelerator.is_available(),
        )
    except ValueError as error:
        raise ConfigurationError(f"precision {config.precision!r}: {error}; use fp32.") from None
    parameters = [p for p in module.parameters() if p.requires_grad]
    module.to(accelerator.device)
    optimizer = torch.optim.AdamW(
        parameters,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True if all(p.is_floating_point() for p in parameters) else None,
    )
    hung = "forward" in module.__dict__
    model = torch.compile(module) if config.compile else module
    model, prepared = accelerator.prepare(model, optimizer)
    try:
        yield _Engine(accelerator, module, model, prepared)
    finally:
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        # The forward that autocasts was hung on the caller's module: give the module back as it came.
        if not hung:
            module.__dict__.pop("forward", None)
        accelerator.free_memory()


def _require_precision(precision: str) -> None:
    """Refuse bf16 on a GPU that could only emulate it, slower than fp32."""
    if precision != "bf16" or not torch.cuda.is_available():
        return
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigurationError(
            f"precision 'bf16': the GPU {torch.cuda.get_device_name()} does not compute in bfloat16 (from compute "
            "capability 8.0 they do): use precision=fp32."
        )


@contextmanager
def _out_of_memory_named(batch_size: int) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        words = ("not enough memory", "out of memory", "can't allocate memory", "cannot allocate memory")
        exhausted = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not (exhausted or any(word in str(error).lower() for word in words)):
            raise
        smaller = max(batch_size // 2, 1)
        raise TrainingError(
            f"out of memory with batches of {batch_size} samples: use batch_size={smaller}"
            f"{', or a smaller learner or grid' if batch_size < 4 else ''}."
        ) from error


@dataclass
class _Course:
    """One training from its first step, or from its checkpoint, to the end of its budget."""

    config: TrainingConfig
    engine: _Engine
    loss: Loss
    data: Mapping[str, Tensor]
    checkpoint: Checkpoint | None
    clock: Stopwatch
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    last_loss: float = math.nan
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        accelerator = self.engine.accelerator
        count = len(next(iter(self.data.values())))
        size, seed = self.config.batch_size, self.config.seed
        self.batches = Batches(count, size, seed, accelerator.process_index, accelerator.num_processes)
        self.seconds = self.clock.seconds
        self.saved_at = time.monotonic()

    @property
    def fraction(self) -> float:
        return self.config.fraction(self.step, self.seconds)

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        state = self.checkpoint.read(self.engine.bare, self.engine.optimizer) if self.checkpoint else None
        if state is None:
            return
        self.history = History(state["history"])
        self.step, self.seconds, self.last_loss = state["step"], state["seconds"], state["last_loss"]
        self.loss_sum, self.loss_count = state["loss_sum"], state["loss_count"]
        self.clock = Stopwatch(self.config.clock, self.seconds)

    def run(
        self,
        validate: Callable[[], float] | None,
        progress: Callable[[Progress], None] | None,
        interrupts: Interrupts,
        prepare: Callable[[float], None] | None,
    ) -> None:
        """Step until the budget is spent."""
        while self.fraction < 1:
            before, rate = self.fraction, self.config.rate(self.fraction)
            if prepare is not None:
                prepare(before)
            loss = self._advance(rate)
            self.last_loss, seconds, received = self.engine.agreed(loss, self.clock.seconds, float(interrupts.received))
            with self.clock.held():
                self.step, self.seconds = self.step + 1, seconds
                self.loss_sum, self.loss_count = self.loss_sum + self.last_loss, self.loss_count + 1
                self._record(before, rate, validate)
                if progress is not None and self.engine.main:
                    error = self.history.validation_error
                    progress(Progress(self.fraction, self.step, self.seconds, self.last_loss, error))
                done = self.fraction >= 1
                if received or done or time.monotonic() - self.saved_at >= self.config.checkpoint_seconds:
                    self._save()
                if received and not done:
                    raise TrainingInterrupted(self._how_to_go_on(), interrupts.received or signal.SIGTERM)

    def _advance(self, rate: float) -> float:
        """One optimisation step; returns the loss before it."""
        engine = self.engine
        # Whatever draws at random in this step depends on seed and step only: dropout here, augmentation below.
        torch.manual_seed(generator_for("module", self.config.seed, self.step).initial_seed())
        generator = generator_for("augmentation", self.config.seed, self.step)
        rows = self.batches.rows(self.step)
        device = engine.accelerator.device
        batch = {name: array[rows.to(array.device)].to(device, non_blocking=True) for name, array in self.data.items()}
        for group in engine.optimizer.param_groups:
            group["lr"] = rate
        engine.wrapped.train()
        engine.optimizer.zero_grad()
        loss = self.loss(engine.wrapped, batch, generator)
        engine.accelerator.backward(loss)
        limit = math.inf if self.config.clip_norm is None else self.config.clip_norm
        norm = engine.accelerator.clip_grad_norm_(engine.bare.parameters(), limit)
        value, size = engine.agreed(float(loss.detach()), float(norm) if norm is not None else 0.0)
        if not (math.isfinite(value) and math.isfinite(size)):
            raise TrainingError(self._not_finite(value, size, rate))
        engine.optimizer.step()
        return value

    def _record(self, before: float, rate: float, validate: Callable[[], float] | None) -> None:
        """Add a row to the history where one is due, with the validation error where that is due."""
        due = math.floor(self.fraction * self.config.validations) > math.floor(before * self.config.validations)
        error = None
        if validate is not None and (due or self.fraction >= 1):
            self.engine.bare.eval()
            with torch.no_grad():
                error = float(validate())
        if error is None and self.fraction < 1 and math.floor(self.fraction * ROWS) == math.floor(before * ROWS):
            return
        mean = self.loss_sum / self.loss_count
        self.loss_sum, self.loss_count = 0.0, 0
        self.history.add(
            step=self.step, seconds=self.seconds, learning_rate=rate, train_loss=mean, validation_error=error
        )

    def _save(self) -> None:
        if self.checkpoint is not None and self.engine.main:
            names = ("step", "seconds", "last_loss", "loss_sum", "loss_count")
            state = {name: getattr(self, name) for name in names} | {"history": self.history.rows}
            self.checkpoint.write(self.engine.bare, self.engine.optimizer, state)
        self.saved_at = time.monotonic()

    def _how_to_go_on(self) -> str:
        where = f"step {self.step}, {self.fraction:.0%} of the budget"
        if self.checkpoint is None:
            return f"interrupted at {where}; nothing was kept, because no directory was given for checkpoints."
        return f"interrupted at {where}; the same command goes on from {self.checkpoint.path}."

    def _not_finite(self, loss: float, norm: float, rate: float) -> str:
        kept = ""
        if self.checkpoint is not None and self.checkpoint.path.exists():
            kept = f" The last good state is kept in {self.checkpoint.path}."
        return (
            f"step {self.step}: loss {loss:.3g}, norm of its gradient {norm:.3g}, learning rate {rate:.2g}: training "
            f"cannot go on. Use a smaller learning rate, e.g. learning_rate={self.config.learning_rate / 4:.1g}.{kept}"
        )

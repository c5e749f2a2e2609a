"""What a run tells while it runs: metrics.jsonl for programs, TensorBoard for eyes, a bar for the one who waits.

metrics.jsonl has one JSON object per line, one line per optimizer step, in order, none missing and none twice, also
after a resume: the file is cut back to the checkpoint's step first. Two kinds of line:

    {"step": 12, "rows": 32, "tokens": 65310, "loss": 3.21, "loss_by_corpus": {"domain": 3.2, ...}, "lr": ...,
     "grad_norm": ..., "seconds": 4.1, "tokens_per_second": 15929.0}
    {"step": 500, "validation_loss": 2.98}

Losses are nats per token. `seconds` and `tokens_per_second` are the only fields two equal runs differ in.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

SECONDS_BETWEEN_LINES = 10.0  # of progress where stderr is no terminal


def cut_back(path: Path, step: int) -> list[dict[str, Any]]:
    """Keep the lines up to `step`, drop later and torn ones; gives what stays."""
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    beside = path.with_name(f".{path.name}.unfinished")
    beside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    beside.replace(path)
    return kept


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All lines; none where there is no file. A kill can tear the last line: it is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


class Metrics:
    """Appends to `folder`/metrics.jsonl and `folder`/tensorboard from `step` on."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self.before = cut_back(folder / "metrics.jsonl", step)
        self._file = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        # events after `step` of a run that was killed are hidden: TensorBoard shows one curve
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in line.items():
            if name == "loss_by_corpus":
                for corpus, loss in value.items():
                    self._board.add_scalar(f"loss/{corpus}", loss, line["step"])
            elif name != "step":
                self._board.add_scalar(name, value, line["step"])

    def settle(self) -> None:
        """Onto the disk: what a checkpoint counts on must not be lost with the machine's memory."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._board.flush()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._board.close()


class Progress:
    """A bar on stderr with loss, tokens/s and time left; plain lines where stderr is no terminal; or nothing."""

    def __init__(self, steps: int, done: int, shown: bool = True) -> None:
        self._steps, self._first, self._shown = steps, done, shown
        self._started = self._spoken = time.monotonic()
        self._bar = self._task = None
        if shown and sys.stderr.isatty():
            self._bar, self._task = _bar(steps, done)

    def step(self, line: dict[str, Any]) -> None:
        if self._bar is not None:
            rate = f"{line['tokens_per_second']:,.0f}"
            self._bar.update(self._task, completed=line["step"], loss=f"{line['loss']:.3f}", rate=rate)
        elif self._shown:
            self._speak(line)

    def _speak(self, line: dict[str, Any]) -> None:
        now, step = time.monotonic(), line["step"]
        if step not in (self._first + 1, self._steps) and now - self._spoken < SECONDS_BETWEEN_LINES:
            return
        self._spoken = now
        left = (now - self._started) / (step - self._first) * (self._steps - step)
        rate = f"{line['tokens_per_second']:,.0f} tokens/s"
        print(f"train: step {step}/{self._steps}  loss {line['loss']:.3f}  {rate}  {left:,.0f} s left", file=sys.stderr)

    def say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        elif self._shown:
            print(text, file=sys.stderr)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar(steps: int, done: int) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    bar = RichProgress(
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}  {task.fields[rate]} tokens/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    return bar, bar.add_task("train", total=steps, completed=done, loss="-", rate="-")

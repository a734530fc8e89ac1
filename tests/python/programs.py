"""Example programs, run as their users run them: with pipes, and Ctrl-C at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# No program that a test waits for takes longer; one that does is killed, which ends the wait.
SECONDS = 30


class Program:
    """A Python program of one of the examples, running."""

    def __init__(self, folder: str, *arguments: str) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)
        }
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, *arguments],
            cwd=EXAMPLES / folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._deadline = threading.Timer(SECONDS, self.process.kill)
        self._deadline.start()

    def line(self) -> str:
        """The next line of its stdout, "" at the end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def interrupt(self) -> tuple[int, str, str]:
        """Ctrl-C: exit code, the rest of stdout, stderr."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, the rest of stdout, stderr."""
        out, err = self.process.communicate(timeout=SECONDS)
        self._deadline.cancel()
        return self.process.returncode, out, err

    def kill(self) -> None:
        self.process.kill()
        self.end()

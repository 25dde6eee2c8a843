"""Runs a program that cannot outlive the process that started it.

`python -I -S leash.py PARENT_PID PROGRAM [ARGUMENT ...]` asks the kernel to kill this process when its
parent ends (prctl(2), PR_SET_PDEATHSIG), then becomes the program. The setting survives exec, and doing it
after exec rather than between fork and exec keeps Python code out of a forked copy of a process with threads.

The kernel watches the parent's thread: start leashed programs from one that lives as long as the process.
On systems without PR_SET_PDEATHSIG the program runs without a leash.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_CANNOT_RUN = 127


def leashed(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` on this process's leash."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return  # the parent ended before the kernel was asked
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - running the given program is the purpose
    except OSError as error:
        sys.exit(_report(command[0], error))


def _report(program: str, error: OSError) -> int:
    sys.stderr.write(f"cannot run {program}: {error.strerror}\n")
    return _CANNOT_RUN


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])

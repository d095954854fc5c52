"""Runs one program and ends it when the parent is gone, where the system has no signal for that (macOS).

Started by path with: STOP_SIGNAL PROGRAM ARGUMENTS…; the parent holds the other end of standard input and never writes.
"""

import os
import signal
import subprocess
import sys
import threading


def main(stop_signal: int, command: list[str]) -> int:
    """Run `command` until it ends; end it with `stop_signal` when standard input closes. Returns its exit code."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    for forwarded in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(forwarded, lambda number, _frame: child.send_signal(number))
    threading.Thread(target=_watch, args=(child, stop_signal), daemon=True).start()
    return child.wait()


def _watch(child: "subprocess.Popen[bytes]", stop_signal: int) -> None:
    os.read(0, 1)
    child.send_signal(stop_signal)


if __name__ == "__main__":
    code = main(int(sys.argv[1]), sys.argv[2:])
    sys.exit(code if code >= 0 else 128 - code)

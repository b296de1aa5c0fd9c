"""One process that has imported what many commands need, and forks for each of them.

A start of the gateway is 2 to 5 s of processor time and one of a workspace over 1 s, of which nearly all goes into
imports: dozens of starts make that most of what their tests cost. This process imports it once; each child then has a
session, an environment, a folder and an output of its own, as a process that was executed has.
What starts for real all the same, so that an import which only works after another is seen: see `Deployment`.

It is run by its path, in the folder of the code, with the number of a socket and the names of modules to import. A
request is a packet on the socket: JSON, an open file for the output, and a socket, to which the child's id is written,
then its exit code.
"""

import array
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

MAX_REQUEST_BYTES = 100_000
# <sys/prctl.h>: the signal that this process gets when its parent ends. A child does not inherit it.
PR_SET_PDEATHSIG = 1


class Request(TypedDict):
    """A command of the project's Python: the script or `-m` and a module, its arguments, and all of its environment."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str


def main(control: socket.socket) -> None:
    """Fork for each request until the tests have ended; returns in a child, to run its command."""
    signal.signal(signal.SIGCHLD, _bury)
    while True:
        message, numbers = _receive(control)
        if not message:
            sys.exit()
        if os.fork() == 0:
            break
        for number in numbers:
            os.close(number)
    _die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control.close()
    output, status = numbers[0], socket.socket(fileno=numbers[1])
    child = os.fork()
    if child:
        os.close(output)
        _keep(child, status)
    _die_with_parent()
    status.close()
    _become(json.loads(message), output)


def _bury(*_: object) -> None:
    """Take note of the keepers that have ended, so that what they used counts as used by the tests."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """A packet and the files that came with it; socket.recv_fds would leave these open in programs that are executed."""
    numbers = array.array("i")
    room = socket.CMSG_SPACE(2 * numbers.itemsize)
    message, extra, *_ = control.recvmsg(MAX_REQUEST_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    for _level, _kind, data in extra:
        numbers.frombytes(data)
    return message, list(numbers)


def _keep(child: int, status: socket.socket) -> None:
    """Tell the child's id and how it ended; until both are read the id is no other process's."""
    status.send(str(child).encode())
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    status.send(str(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status).encode())
    status.recv(1)
    os.waitpid(child, 0)
    os._exit(0)


def _become(request: Request, output: int) -> None:
    """Be as the process that executed this command would be."""
    os.setsid()
    os.chdir(request["folder"])
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    os.close(output)
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    sys.argv = request["arguments"]
    sys.path[0] = request["folder"]


def _die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _run() -> None:
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    # Python put this folder there, whose modules have names that others use too.
    assert Path(sys.path[0]).resolve() == Path(__file__).resolve().parent
    sys.path[0] = os.getcwd()
    for package in sys.argv[2:]:
        importlib.import_module(package)
    # What stands here stays: no child need look through it again.
    gc.freeze()
    main(socket.socket(fileno=int(sys.argv[1])))
    _run()

"""Make the project runnable: `.venv/` with every pinned package and, for `run`, a first `.env`.

Usage: `python3 -I gateway/bootstrap.py run|test`. It runs before any package is there, so it needs the standard library
only; when nothing has changed since the last time it says nothing and takes no time. `-I` keeps this folder's modules
from standing in for those of the standard library.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
INTERRUPTED = VENV / ".installing"
"""Exists while packages are installed: pip takes a package that it was killed over for a whole one."""
OLDEST_PYTHON = (3, 11)
QUIET_S = 5
"""Where the output is no terminal, a line of progress this often."""
POLL_S = 0.5
LOG_TAIL_LINES = 15
COMPILED_LATER = r"/(tests?|ccxt|fontTools|kubernetes|mypyc?|openai/types|openrouter|pygments|twisted)/"
"""Over half of all source, most of which no process imports; what one does import, Python compiles then."""
ENV_FILE = """\
# Made by the first `make run`; .env.example explains every setting. The real environment wins over this file.
DEBUG=true
SECRET_KEY={secret}
"""


class BootstrapError(Exception):
    """The project could not be made runnable."""


def main(arguments: Sequence[str]) -> int:
    """Do what the one argument says, `run` or `test`; return the exit status."""
    if list(arguments) not in (["run"], ["test"]):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        with only_one():
            install(requirement_files(for_tests=arguments[0] == "test"))
            if arguments[0] == "run":
                write_env(ROOT / ".env")
    except BootstrapError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; the next run begins again.\n")
        return 130
    return 0


@contextmanager
def only_one() -> Iterator[None]:
    """Let two that start at once take turns."""
    fd = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another `make` installs here; waiting until it is done …")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def requirement_files(*, for_tests: bool) -> list[Path]:
    """Return the lists to install; the development list includes the gateway's own."""
    own = ROOT / ("requirements-dev.txt" if for_tests else "requirements.txt")
    return [own, *sorted(ROOT.glob("workspace/*/requirements.txt"))]


def install(files: Sequence[Path]) -> None:
    """Install what the files pin, unless that was done before. Raises BootstrapError."""
    stamp = VENV / f".installed-{files[0].stem}"
    wanted = digest([ROOT / "requirements.txt", *files])
    if PYTHON.exists() and not INTERRUPTED.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    begin = time.monotonic()
    make_venv()
    INTERRUPTED.touch()
    run_pip(files)
    compile_packages()
    stamp.write_text(wanted)
    INTERRUPTED.unlink()
    say(f"Packages are ready after {time.monotonic() - begin:.0f} s.")


def digest(files: Sequence[Path]) -> str:
    """Return a hash that changes with the content of the files or with Python."""
    sha = hashlib.sha256(sys.version.encode())
    for file in files:
        sha.update(file.read_bytes())
    return sha.hexdigest()


def make_venv() -> None:
    """Make `.venv/`; one that was interrupted, or whose Python is gone, is made anew. Raises BootstrapError."""
    if sys.version_info < OLDEST_PYTHON:
        raise BootstrapError(f"Python 3.11 or later is needed; {sys.executable} is {sys.version.split()[0]}.")
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        raise BootstrapError(f"{sys.executable} has no `venv`. On Debian or Ubuntu: apt-get install {package}")
    if not INTERRUPTED.exists() and call([str(PYTHON), "-m", "pip", "--version"]).returncode == 0:
        return
    say(f"Making .venv with Python {sys.version.split()[0]} …")
    result = call([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if result.returncode:
        raise BootstrapError(f"Python could not make .venv:\n{result.stdout.strip()}")


def run_pip(files: Sequence[Path]) -> None:
    """Install the files' packages and tell how far it is. Raises BootstrapError with pip's last words."""
    total = count_pins(files)
    say(f"Installing {total} packages, the first time only …")
    command = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    command += ["--no-compile"]
    command += [word for file in files for word in ("-r", str(file))]
    with LOG.open("wb") as log:
        pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - our own words
        try:
            show_progress(pip, total)
        except KeyboardInterrupt:
            pip.wait()
            raise
    if pip.returncode:
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise BootstrapError(f"{tail}\n\nThe packages could not be installed; pip's whole output is in {LOG}")


def compile_packages() -> None:
    """Compile what was installed, on all cores: pip would do it on one, and all of it.

    The exit status says only that some file is no Python 3, as the templates are that some packages carry.
    """
    say("Compiling them …")
    folders = [str(folder) for folder in VENV.glob("lib/python*/site-packages")]
    call([str(PYTHON), "-m", "compileall", "-q", "-j", "0", "-x", COMPILED_LATER, *folders])


def show_progress(pip: "subprocess.Popen[bytes]", total: int) -> None:
    """Return when pip has ended."""
    terminal = sys.stdout.isatty()
    pause_s, last = (POLL_S, "") if terminal else (QUIET_S, "")
    while True:
        try:
            pip.wait(pause_s)
        except subprocess.TimeoutExpired:
            last = progress(total)
            sys.stdout.write(f"\r\033[K  {last}" if terminal else f"  {last}\n")
            sys.stdout.flush()
        else:
            break
    if terminal and last:
        sys.stdout.write("\r\033[K")


def progress(total: int) -> str:
    """Read off pip's log and the disk how far the installation is."""
    log = LOG.read_text(errors="replace")
    if "Installing collected packages" in log:
        installed = sum(1 for _ in VENV.glob("lib/python*/site-packages/*.dist-info"))
        return f"installing {min(installed, total)} of {total}"
    collected = re.findall(r"^(?:Collecting|Requirement already satisfied:) ([\w.-]+)", log, re.MULTILINE)
    return f"fetching {min(len(set(collected)), total)} of {total}{': ' + collected[-1] if collected else ''}"


def count_pins(files: Sequence[Path]) -> int:
    """Return how many packages the files and those that they include pin."""
    names: set[str] = set()
    for file in {ROOT / "requirements.txt", *files}:
        names |= {
            name.lower().replace("_", "-") for name in re.findall(r"^([\w.-]+)==", file.read_text(), re.MULTILINE)
        }
    return len(names)


def write_env(file: Path) -> None:
    """Write the settings of a first run, for nobody else's eyes; a file that exists is left alone."""
    if file.exists():
        return
    draft = file.with_name(".env.new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(ENV_FILE.format(secret=secrets.token_urlsafe(50)))
    draft.rename(file)
    say("Wrote .env with a secret key of its own.")


def call(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command; one that does not exist is a failed one."""
    if not os.access(command[0], os.X_OK):
        return subprocess.CompletedProcess(command, 127, "")
    return subprocess.run(  # noqa: S603 - the words are ours
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def say(line: str) -> None:
    """Tell the person at the terminal, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

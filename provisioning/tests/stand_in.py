"""Folders of code to start in place of the project's `workspace/`: quick ones, and ones that fail in a chosen way."""

from pathlib import Path
from textwrap import dedent

# Speaks like the sidecar with the server in it: announces a free port, lets in the user that it was started for, and
# notes each start. It checks no signature; the project's own server is what the last tests start.
SERVES = """
    import base64, http.server, json, os, pathlib, sys

    options = dict(part[2:].split("=", 1) for part in sys.argv if part.startswith("--") and "=" in part)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            claims = self.headers["Authorization"].split(".")[1]
            user = json.loads(base64.urlsafe_b64decode(claims + "==="))["sub"]
            body = json.dumps({"user": options["user"], "environment": dict(os.environ), "arguments": sys.argv}).encode()
            self.send_response(200 if user == options["user"] else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with open("starts", "a") as starts:
        starts.write(options["user"] + "\\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    draft = pathlib.Path(options["ready-file"] + ".draft")
    draft.write_text(json.dumps({"pid": os.getpid(), "port": server.server_address[1], "activity_port": 1}))
    draft.rename(options["ready-file"])
    print("serving", flush=True)
    server.serve_forever()
"""
EXITS = """
    import sys

    sys.exit("the disk is full: /srv/secret-place")
"""
NEVER_READY = """
    import signal

    print("still thinking", flush=True)
    signal.pause()
"""
LOSES_ITS_LOG = """
    import pathlib, sys

    options = dict(part[2:].split("=", 1) for part in sys.argv if part.startswith("--") and "=" in part)
    pathlib.Path(options["owner-file"]).with_name("log").unlink()
    sys.exit(3)
"""
LOSES_ITS_FOLDER = """
    import pathlib, shutil, signal, sys

    options = dict(part[2:].split("=", 1) for part in sys.argv if part.startswith("--") and "=" in part)
    shutil.rmtree(pathlib.Path(options["owner-file"]).parent)
    signal.pause()
"""
LACKS_A_MODULE = "import a_module_that_nobody_has_installed"
# Announces a port where nobody answers.
DEAF = """
    import json, pathlib, signal, sys

    options = dict(part[2:].split("=", 1) for part in sys.argv if part.startswith("--") and "=" in part)
    draft = pathlib.Path(options["ready-file"] + ".draft")
    draft.write_text(json.dumps({"pid": 1, "port": 1, "activity_port": 1}))
    draft.rename(options["ready-file"])
    signal.pause()
"""
ANNOUNCES_NONSENSE = """
    import pathlib, signal, sys

    options = dict(part[2:].split("=", 1) for part in sys.argv if part.startswith("--") and "=" in part)
    pathlib.Path(options["ready-file"]).write_text("[]")
    signal.pause()
"""
IGNORES_SIGTERM = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + dedent(SERVES)


def write_code(folder: Path, sidecar: str) -> Path:
    """A folder whose `lifecycle_sidecar` is this program."""
    folder.mkdir(exist_ok=True)
    (folder / "lifecycle_sidecar.py").write_text(dedent(sidecar))
    return folder


def starts(folder: Path) -> list[str]:
    """The users whose workspace was started from this folder, in order."""
    noted = folder / "starts"
    return noted.read_text().splitlines() if noted.exists() else []

"""A Python that has imported the libraries already: of a short stage's time, most is that of importing torch.

`Warm()` makes commands `python`, `dvc` and `leanet` in a folder, to be first on the path. They have a server
fork and run what they were to run; it ends as they do, killed or not. The project's own modules are read anew by
each. What is neither `-m MODULE` nor a script, or has other variables of Python, runs in a Python of its own.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from importlib import import_module
from pathlib import Path
from select import select
from tempfile import TemporaryDirectory

LIBRARIES = (  # and what these import
    *("torchvision.transforms.v2", "safetensors.torch", "sklearn.ensemble", "sklearn.model_selection", "pandas"),
    *("skimage.color", "skimage.morphology", "matplotlib.backends.backend_agg", "mlflow"),
    *("dvc.repo.reproduce", "dvc.repo.status"),
)

COMMAND = """#!{python} -IS
import json, os, signal, socket, sys
argv = {script!r} + sys.argv[1:]
same = {python_s!r} == {{name: value for name, value in os.environ.items() if name.startswith("PYTHON")}}
if not same or not argv or argv[0] != "-m" and argv[0].startswith("-"):
    os.execv({python!r}, [{python!r}, *argv])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"."], [0, 1, 2])
server.sendall(json.dumps([argv, os.getcwd(), dict(os.environ)]).encode() + b"\\n")
answer = server.makefile()
pid = int(answer.readline())
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, lambda number, _: os.kill(pid, number))
code = int(answer.readline())
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class Warm:
    """The server, and the folder of its commands; both end with the process that made them."""

    def __init__(self):
        self._made = TemporaryDirectory(prefix="warm")
        self.folder = folder = Path(self._made.name)
        address, tools = str(folder / "address"), Path(sys.executable).parent
        python_s = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
        for name in ("python", "dvc", "leanet"):
            script = [] if name == "python" else [str(tools / name)]
            about = {"python": sys.executable, "python_s": python_s, "address": address}
            (folder / name).write_text(COMMAND.format(script=script, **about))
            (folder / name).chmod(0o755)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(address)
            listening.listen()
            server = [sys.executable, __file__, str(listening.fileno())]
            # Its standard input is closed when this process ends. Its outputs are pipes, since what Python takes
            # for a file would later be asked for its place, and be none.
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            self.server = subprocess.Popen(server, pass_fds=[listening.fileno()], start_new_session=True, **pipes)


def asked(listening: socket.socket) -> tuple[list[str], str, dict[str, str]]:
    """Serve for ever; returns in a fork alone: the arguments, the folder and the environment to run there."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        if sys.stdin in select([listening, sys.stdin], [], [])[0]:
            os._exit(0)
        client, _ = listening.accept()
        if os.fork():
            client.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _, places, _, _ = socket.recv_fds(client, 1, 3)
        request = json.loads(client.makefile().readline())
        if not (pid := os.fork()):
            for number, place in enumerate(places):
                os.dup2(place, number)
                os.close(place)
            client.close()
            listening.close()
            return request
        for place in places:
            os.close(place)
        client.sendall(f"{pid}\n".encode())
        if client in select([client, os.pidfd_open(pid)], [], [])[0]:
            os.kill(pid, signal.SIGKILL)  # as the command was
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        client.sendall(f"{code}\n".encode())
        os._exit(0)


def run(argv: list[str], folder: str) -> None:
    if argv[0] == "-m":
        sys.argv, sys.path[0] = argv[1:], folder
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = argv, str(Path(argv[0]).parent)
        runpy.run_path(argv[0], run_name="__main__")


def ended(argv: list[str], folder: str) -> int:
    """Run it; the status that Python would end with."""
    try:
        run(argv, folder)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    listening = socket.socket(fileno=int(sys.argv[1]))
    select([listening, sys.stdin], [], [])  # nobody may ever ask
    for library in LIBRARIES:
        import_module(library)
    sys.modules["torch"].zeros(1, device="meta").add_(1)  # torch imports more only for this
    gc.freeze()  # what is never looked at is never copied
    argv, folder, environment = asked(listening)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = ended(argv, folder)
    # As Python ends, but for taking all modules apart: of large ones, that takes a second.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)

"""Models that are honest files and hostile programs: what they try is held by the sandbox, or ends with a name.

Three kinds. ATTEMPTS go on whatever comes of them, so that one process can try all. ENDS end the process or need to be
stopped. ANSWERS are what predict gives back. Each asks for no more than a bounded amount of anything, and none does harm where
the box does not hold: a place of the host gets a file of our name, or is opened and left as it is.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MLMODEL = "flavors:\n  python_function:\n    loader_module: hostile\n    code: code\n"
# Those of the child's own, as the sandbox sets them, and what Python or a library adds.
ENVIRONMENT = [
    *("PATH", "HOME", "TMPDIR", "LANG", "TZ", "LC_CTYPE", "PWD", "SHLVL", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"),
    *("PYTHONHASHSEED", "PYTHONUNBUFFERED", "GIT_PYTHON_REFRESH", "MLFLOW_TRACKING_URI", "LOKY_MAX_CPU_COUNT"),
    "ARROW_DEFAULT_MEMORY_POOL",
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "KMP_DUPLICATE_LIB_OK"),
    "KMP_INIT_AT_FORK",
]

_HEAD = """\
import ctypes, os, signal, socket, subprocess, sys, threading, time
MARKER = {marker!r}
TOKEN = {token!r}
PORT = {port}
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.prctl(15, TOKEN.encode())  # the name of the process, which its children take over
def writes(path):
    with open(path, 'w') as file:
        file.write('was here')
    return path
def opens(path):
    os.close(os.open(path, os.O_WRONLY))  # to be able to is bad enough: nothing is written there
    return path
def boxed():
    return os.getpid() < 64  # alone in a namespace of processes, or a signal would hit a stranger
def reads(path):
    with open(path, 'rb') as file:
        return file.read(100)
"""

# Bodies of functions: what they return is what they got; None, or an error, is that they were held.
ATTEMPTS: Mapping[str, str] = {
    "write to the host": "return writes(MARKER)",
    "write beside the model": "return writes('/in/model/x') or writes('/in/x')",
    "write over the model": "return opens(os.path.join(MODEL, 'MLmodel'))",
    "write a result": "return writes('/out/result.json')",
    "write a package": "return writes(os.path.join(os.path.dirname(os.__file__), 'countersign_marker.py'))",
    "write to the home": "return writes('/'.join(('', 'root', 'countersign-marker')))",
    "write at the root": "return writes('/countersign-marker')",
    "write to /etc": "return writes('/etc/countersign-marker')",
    "write to /dev": "return writes('/dev/countersign-marker')",
    "write through a link": "os.symlink(MARKER, '/tmp/link'); return writes('/tmp/link')",
    "climb out of scratch": "return writes('/tmp/../countersign-marker')",
    "write by another descriptor": "return writes('/proc/1/cwd/countersign-marker') if os.readlink('/proc/1/cwd') != '/tmp' else None",
    "change the kernel": "return opens('/proc/sys/kernel/core_pattern')",
    "change what the host does with names": "return opens('/proc/sys/kernel/modprobe')",
    "change the memory of the host": "return opens('/proc/sys/vm/overcommit_memory')",
    "crash the kernel": "return opens('/proc/sysrq-trigger')",
    "leave a cgroup": "return opens('/sys/fs/cgroup/cgroup.procs')",
    "read the memory of the host": "return reads('/dev/mem')",
    "read the log of the kernel": "return reads('/dev/kmsg')",
    "read the passwords": "return reads('/etc/passwd')",
    "read the shadow": "return reads('/etc/shadow')",
    "read through the parent": "return reads('/proc/1/root/etc/passwd')",
    "read keys": "return os.listdir(os.path.expanduser('~/.ssh')) or os.listdir('/root')",
    "read the truth": "return os.listdir('/in/data')",
    "read what is asked": "return reads('/in/spec.json')",
    "read the project": "import config.settings; return config.settings",
    "read the checks": "import governance; return governance",
    "read the environment": f"return [n for n in os.environ if n not in {ENVIRONMENT!r} and not n.startswith('_MLFLOW_')]",
    "read the parent's environment": (
        "return [p for p in os.listdir('/proc') if p.isdigit() and b'COUNTERSIGN' in open(f'/proc/{p}/environ', 'rb').read()]"
    ),
    "see other processes": "return [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 64]",
    "see the host's name": "return socket.gethostname() if socket.gethostname() != 'sandbox' else None",
    "use a file that is open": (
        "return [n for n in os.listdir('/proc/self/fd') if os.readlink(f'/proc/self/fd/{n}').startswith(('/home', '/root', '/var'))]"
    ),
    "connect to this machine": "return socket.create_connection(('127.0.0.1', PORT), 2)",
    "connect by IPv6": "return socket.create_connection(('::1', PORT), 2)",
    "connect to the network": "return socket.create_connection(('10.0.0.1', 80), 2)",
    "ask for metadata of a cloud": "return socket.create_connection(('169.254.169.254', 80), 2)",
    "ask for a name": "return socket.getaddrinfo('countersign.example', 80)",
    "send a datagram": "return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('10.0.0.1', 53))",
    "send a raw packet": "return socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "connect to a service of the machine": "s = socket.socket(socket.AF_UNIX); s.connect('/run/docker.sock'); return s",
    "start a shell": "return os.system('touch ' + MARKER) == 0 or None",
    "start a program": "return subprocess.run(['/bin/touch', MARKER])",
    "start Python to write": "return subprocess.run([sys.executable, '-c', f'open({MARKER!r}, \"w\")'], stderr=-3).returncode == 0 or None",
    "become root": "os.setuid(0); return os.getuid()",
    "get capabilities": "return LIBC.prctl(24, 21) == 1 or None",
    "make a namespace": "return LIBC.unshare(0x10000000) == 0 or None",
    "mount": "os.mkdir('/tmp/mounted'); return LIBC.mount(b'none', b'/tmp/mounted', b'tmpfs', 0, None) == 0 or None",
    "change the root": "os.chroot('/tmp'); return 'changed'",
    "make a device": "os.mknod('/tmp/device', 0o600 | 0o020000, os.makedev(1, 1)); return reads('/tmp/device')",
    "raise its limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); return 'raised'",
    "go first": "return os.nice(-5)",
    "load the kernel": "return LIBC.syscall(175, None, 0, b'') == 0 or None",
    "kill the parent": "if not boxed(): return 'no box'\nos.kill(os.getppid(), signal.SIGKILL)",
    "kill the first process": "if not boxed(): return 'no box'\nos.kill(1, signal.SIGKILL)",
    "stop the parent": "if not boxed(): return 'no box'\nos.kill(os.getppid(), signal.SIGSTOP); os.kill(os.getppid(), signal.SIGCONT)",
    "kill the worker by number": "os.kill({worker}, 0); return 'found' if {worker} > 64 else None",
    "leave a daemon": (
        "pid = os.fork()\n"
        "if not pid:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "    time.sleep(600)\n"
        "os.waitpid(pid, 0)"
    ),
    "share memory": "writes('/dev/shm/' + TOKEN)",
    "rewrite the log": "print('\\x1b[2J\\x1b]0;owned\\x07\\rclean')",
    "take all threads": (
        "many = []\n"
        "for _ in range(100):\n"
        "    many.append(threading.Thread(target=time.sleep, args=(30,), daemon=True))\n"
        "    many[-1].start()"
    ),
    "stay after the end": "import atexit; atexit.register(time.sleep, 600)",
}  # fmt: skip


@dataclass(frozen=True)
class End:
    """What ends the model's process. load, predict: its code. codes: the named errors it may end with; "" is completed."""

    codes: tuple[str, ...]
    load: str = "pass"
    predict: str = "pass"


LOAD, PREDICT = "model_load_failed", "model_predict_failed"
ENDS: Mapping[str, End] = {
    "fork bomb": End(
        ("", LOAD, PREDICT, "out_of_memory"),
        predict="for _ in range(80):\n    if not os.fork():\n        time.sleep(600)\n        os._exit(0)",
    ),
    "fork bomb of children": End(
        ("", LOAD, PREDICT, "out_of_memory"),
        load="for _ in range(6):\n    os.fork()\nif os.getpid() != FIRST:\n    time.sleep(600)",
    ),
    "memory bomb": End(("out_of_memory",), load="kept = [bytearray(1 << 26) for _ in range(1000)]"),
    "memory bomb of a library": End(("out_of_memory",), predict="import numpy; numpy.ones((1 << 20, 1 << 20))"),
    "endless loop": End(("cpu_limit",), load="while True: pass"),
    "endless loop in a library": End(("cpu_limit",), predict="import re; re.match('(a*)*b', 'a' * 64)"),
    "endless loop, deaf to signals": End(("cpu_limit",), predict="signal.signal(24, signal.SIG_IGN)\nwhile True: pass"),
    "endless sleep": End(("wall_time_limit",), predict="time.sleep(600)"),
    "flood of output": End(("output_limit",), predict="while True: os.write(1, b'spam ' * 10000)"),
    "flood of errors": End(("output_limit",), load="while True: os.write(2, bytes(range(256)) * 200)"),
    "flood of files": End((PREDICT,), predict="[writes(f'/tmp/{i}') and open(f'/tmp/{i}', 'wb').write(bytes(1 << 20)) for i in range(64)]"),
    "crash": End(("killed_by_signal",), predict="ctypes.string_at(0)"),
    "kill itself": End(("killed_by_signal", "out_of_memory"), predict="os.kill(os.getpid(), signal.SIGTERM)"),
    "leave": End((PREDICT,), predict="os._exit(0)"),
    "leave while it loads": End((LOAD, PREDICT), load="os._exit(0)"),
    "interrupt": End(("killed_by_signal",), predict="raise KeyboardInterrupt"),
    "recursion": End((PREDICT,), predict="f = lambda: f()\nf()"),
    "close the pipes": End((PREDICT,), predict="os.closerange(3, 64)\ntime.sleep(600)"),
    "forge an answer": End((PREDICT,), predict="[os.write(fd, b'\\xff' * 64) for fd in range(3, 64) if is_pipe(fd)]"),
    "raise what cannot be told": End(
        ("no_result",), predict="class Mute(Exception):\n    def __str__(self): raise self\nraise Mute"
    ),
}  # fmt: skip

ANSWERS: Mapping[str, str] = {
    # Expressions of numpy (np), pandas (pd) and the number of rows (n).
    "too few": "np.zeros(n - 1)",
    "too many": "np.zeros(n + 1)",
    "a number": "0.0",
    "nothing": "None",
    "missing values": "np.full(n, np.nan)",
    "missing objects": "np.full(n, None, dtype=object)",
    "three dimensions": "np.zeros((n, 2, 2))",
    "more than there is memory": "np.broadcast_to(0.0, (n, 1 << 40))",
    "columns that lie": "pd.DataFrame(np.zeros((n + 1, 2)), columns=['x', 'x'])",
    "lists of all lengths": "[[0] * i for i in range(n)]",
    "an object that is no array": "type('A', (), {'__array__': lambda *a, **k: 1 / 0})()",
    "an error without end": "(_ for _ in ()).throw(ValueError('x' * (1 << 24)))",
    "an exit": "sys.exit(0)",
    "a row that is a program": "[compile('1', 'x', 'eval')] * (n + 1)",
}


@dataclass(frozen=True)
class HostileModel:
    """A real MLflow model whose loader is its own code."""

    load: str
    predict: str

    def into(self, folder: Path, marker: str, *, token: str = "hostile", port: int = 9, worker: int = 1) -> Path:
        """Write it; returns the folder. token: the name that its processes take, at most 15 characters."""
        (folder / "code").mkdir(parents=True)
        (folder / "MLmodel").write_text(MLMODEL)
        head = _HEAD.format(marker=marker, token=token, port=port)
        load, predict = (each.replace("{worker}", str(worker)) for each in (self.load, self.predict))
        body = [
            head,
            "FIRST = os.getpid()",
            "def is_pipe(fd):\n    try:\n        return os.readlink(f'/proc/self/fd/{fd}').startswith('pipe')\n    except OSError:\n        return False",
            "class Model:\n    def predict(self, data, params=None):",
            "        import numpy as np, pandas as pd\n        n = len(data)",
            textwrap.indent(predict, " " * 8),
            "        return [0] * len(data)",
            "def _load_pyfunc(path):\n    global MODEL\n    MODEL = path",
            textwrap.indent(load, " " * 4),
            "    return Model()\n",
        ]
        (folder / "code" / "hostile.py").write_text("\n".join(body))
        return folder


def attempting(names: Iterable[str]) -> HostileModel:
    """Return the model that tries these one after another, and says of each whether it was held."""
    parts = []
    for number, name in enumerate(names):
        parts += [
            f"def attempt_{number}():",
            textwrap.indent(ATTEMPTS[name], "    "),
            "try:",
            f"    got = attempt_{number}()",
            f"    print({name!r}, 'THROUGH ' + repr(got)[:200] if got else 'HELD')",
            "except Exception as cause:",
            f"    print({name!r}, 'HELD', type(cause).__name__)",
        ]
    return HostileModel("pass", "\n".join(parts))


def answering(names: Iterable[str]) -> HostileModel:
    """Return the model that gives the answer whose number stands in the first row."""
    parts = ["chosen = int(data.iloc[0, 0])"]
    parts += [f"if chosen == {number}: return {ANSWERS[name]}" for number, name in enumerate(names)]
    return HostileModel("pass", "\n".join(parts))


CLASSES: Mapping[str, HostileModel] = {
    **{name: attempting([name]) for name in ATTEMPTS},
    **{name: HostileModel(end.load, end.predict) for name, end in ENDS.items()},
    **{f"answers {name}": answering([name]) for name in ANSWERS},
}

"""The command line that puts a process into a box of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CODE = Path("/app")
PLUGINS = Path("/plugins")
INPUT = Path("/in")
OUTPUT = Path("/out")
NOBODY = "65534"


@dataclass(frozen=True)
class Detection:
    """Whether bubblewrap works here. reason: why not, or "". warning: what it cannot enforce here, or ""."""

    available: bool
    reason: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Bind:
    """A file or folder of the host, as the child sees it; read-only unless `writable`."""

    source: Path
    target: Path
    writable: bool = False


@cache
def detect() -> Detection:
    """Start a real sandbox once and say whether it works; a kernel that forbids it only shows when it is tried."""
    if sys.platform != "linux":
        return Detection(False, "bubblewrap needs Linux")
    if shutil.which("bwrap") is None:
        return Detection(False, "the program bwrap is not installed")
    probe = command([str(interpreter()), "-I", "-S", "-c", "print('inside')"], binds=[], environment={}, scratch_bytes=1 << 20)
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        return Detection(False, f"bwrap does not run: {cause}")
    if done.returncode or done.stdout != "inside\n":
        return Detection(False, f"bwrap does not start: {done.stderr.strip()[:500] or done.returncode}")
    return Detection(True, warning=_warning())


def _warning() -> str:
    if os.geteuid() == 0:
        return "The worker runs as root, for whom the kernel does not limit the number of processes. Run it as another user."
    return ""


def interpreter() -> Path:
    """Return the interpreter of this process, by the path that makes it find its virtual environment."""
    return Path(sys.executable)


def command(
    arguments: list[str], *, binds: list[Bind], environment: dict[str, str], scratch_bytes: int, packages: Path | None = None
) -> list[str]:
    """Return the bwrap command that runs `arguments` with nothing but the interpreter, `binds` and scratch space.

    arguments: the first is the interpreter. packages: its virtual environment; without one, that of this process.

    No network, no shell, own processes, an unprivileged user without capabilities or nested namespaces. Everything is
    read-only but `/tmp`, `/dev/shm`, both of `scratch_bytes` in memory, and writable binds.
    """
    made = [str(shutil.which("bwrap") or "bwrap"), "--unshare-all", "--unshare-user", "--disable-userns"]
    made += ["--uid", NOBODY, "--gid", NOBODY, "--cap-drop", "ALL", "--die-with-parent", "--new-session"]
    made += ["--hostname", "sandbox", "--clearenv"]
    for name, value in environment.items():
        made += ["--setenv", name, value]
    # Scratch comes first: mounted later, it would hide what is bound below /tmp.
    made += ["--proc", "/proc", "--dev", "/dev"]
    for place in ("/tmp", "/dev/shm"):  # noqa: S108  # these are inside of the sandbox
        made += ["--size", str(scratch_bytes), "--tmpfs", place]
    for each in [*_system(Path(arguments[0]), packages or Path(sys.prefix)), *binds]:
        made += ["--bind" if each.writable else "--ro-bind", str(each.source), str(each.target)]
    for link, target in _links():
        made += ["--symlink", target, link]
    # Without this the root and /dev are themselves writable folders in memory, of any size; and through /proc/sys the child of a
    # worker that is root could change settings of the kernel, which for the whole machine name a program that root runs.
    read_only = [part for place in ("/proc", "/dev", "/") for part in ("--remount-ro", place)]
    return [*made, *read_only, "--chdir", "/tmp", "--", *arguments]  # noqa: S108


def _system(python: Path, packages: Path) -> Iterator[Bind]:
    """Yield the interpreter, its packages and the system's libraries: no programs, no settings."""
    names = (packages, python.resolve().parents[1], "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
    # An interpreter of the system would bring all of /usr along; its libraries and its one program are enough.
    places = dict.fromkeys(Path(each) for each in names if Path(each) != Path("/usr"))
    places |= dict.fromkeys(each for each in _library_folders() if not each.is_symlink())
    for place in places:
        if place.exists():
            yield Bind(place, place)
    for name in _names_of(python):
        if not any(name.is_relative_to(place) for place in places):
            yield Bind(name.resolve(), name)


def _names_of(python: Path) -> list[Path]:
    """Return each name on the way from the path we start to the program itself; each may lie outside of the prefixes."""
    names = [python]
    while names[-1].is_symlink():
        names.append(names[-1].parent / names[-1].readlink())
    return names


def _links() -> Iterator[tuple[str, str]]:
    for each in _library_folders():
        if each.is_symlink():
            yield str(each), str(each.readlink())


def _library_folders() -> list[Path]:
    return [Path("/lib"), Path("/lib64")]

"""Load: wrk, driven by a Lua script that is made for each operation; a Python client would be busy before the servers are."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Request
from benchmarks.operations import COUNTER

FIRST_SENT = 2  # wrk makes the first request of a script only to look at it
_SCRIPT = """\
local counter, made = "{counter}", {{
{requests}
}}
{headers}
local n = 0
request = function()
  n = n + 1
  local r = made[(n - 1) % #made + 1]
  if r.ready then return r.ready end
  local body = r[3]
  if body and r.counted then body = body:gsub(counter, n) end
  if r[4] > 0 then body = body .. filler end
  local path = r[2]
  if r.counted then path = path:gsub(counter, n) end
  local text = wrk.format(r[1], path, nil, body)
  if not r.counted then r.ready = text end
  return text
end
done = function(summary, latency)
  local e = summary.errors
  print(string.format('RESULT {{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"refused":%d,"lost":%d}}', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.status,
    e.connect + e.read + e.write + e.timeout))
end
"""


class NoLoad(Exception):
    """The load generator is missing or did not do its work."""


@dataclass(frozen=True)
class Measured:
    """What one round of one operation gave on one server."""

    per_second: float  # good answers
    p50_ms: float
    p99_ms: float
    errors: int
    answers: int


def require_wrk() -> str:
    """Return where wrk is. Raises NoLoad saying how to get it."""
    found = shutil.which("wrk")
    if found is None:
        raise NoLoad("the load generator wrk is not installed: apt-get install wrk")
    return found


def measure(
    url: str, headers: dict[str, str], requests: list[Request], *, seconds: int, connections: int, folder: Path
) -> Measured:
    """Send the requests in turn for so long. Raises NoLoad if wrk fails."""
    script = folder / "load.lua"
    script.write_text(_lua(headers, requests))
    command = [require_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 90)
    found = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not found:
        raise NoLoad(f"wrk ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    result = json.loads(found[0].removeprefix("RESULT "))
    return Measured(
        (result["requests"] - result["refused"]) / result["seconds"],
        result["p50"],
        result["p99"],
        result["refused"] + result["lost"],
        result["requests"],
    )


def _lua(headers: dict[str, str], requests: list[Request]) -> str:
    filler = max(request.filler for request in requests)
    sent = {**headers, "Content-Type": requests[0].kind}
    lines = [f"wrk.headers[{_quoted(name)}] = {_quoted(value)}" for name, value in sent.items()]
    if filler:
        lines.append(f'local filler = string.rep("x", {filler})')
    return _SCRIPT.format(counter=COUNTER, requests=",\n".join(map(_row, requests)), headers="\n".join(lines))


def _row(request: Request) -> str:
    body = _quoted(request.body) if request.body else "nil"
    counted = "true" if COUNTER in request.path + request.body else "false"
    return f"{{{_quoted(request.method)}, {_quoted(request.path)}, {body}, {request.filler}, counted = {counted}}}"


def _quoted(text: str) -> str:
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}" for byte in text.encode())
    return '"' + "".join(plain) + '"'

"""A model is asked in the environment it was made for, built from its pins alone, or refused with the line that cannot be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from workflows.runner import environments, sandbox
from workflows.runner.environments import Builder, EnvironmentFailed
from workflows.runner.sandbox import Isolation, Limits, Status

ROOT = Path(__file__).resolve().parents[3]
UV = ROOT / ".venv-uv" / "bin" / "uv"
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def model(folder: Path, requirements: str | None = None, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    if requirements is not None:
        (folder / "requirements.txt").write_text(requirements)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def lines(asked: environments.Asked) -> list[str]:
    return [str(each) for each in asked.requirements]


def test_what_a_model_asks_for_is_read_as_mlflow_does(tmp_path: Path) -> None:
    python_env = "python: 3.11.7\ndependencies:\n- -r requirements.txt\n"
    conda = "dependencies: [python=3.9, pip<=24, {pip: [mlflow, numpy==1.0]}]\n"
    asked = environments.asked_by(
        model(
            tmp_path,
            "# made\nmlflow==3.1\n\nnumpy>=1.2  # why\nx[y]==1; sys_platform == 'win32'\n",
            python_env__yaml=python_env,
            conda__yaml=conda,
        )
    )
    assert (asked.python, lines(asked)) == ("3.11", ["mlflow==3.1", "numpy>=1.2"])
    (tmp_path / "requirements.txt").unlink()
    assert lines(environments.asked_by(tmp_path)) == ["mlflow", "numpy==1.0"]
    (tmp_path / "python_env.yaml").unlink()
    assert environments.asked_by(tmp_path).python == "3.9"
    assert environments.asked_by(model(tmp_path / "bare")) == environments.Asked("", ())


@pytest.mark.parametrize(
    "line, words",
    [
        ("evil @ https://example.org/evil.whl", "names an address"),
        ("git+https://example.org/evil.git", "not the name and version"),
        ("./evil", "not the name and version"),
        ("/tmp/evil.whl", "not the name and version"),
        ("--index-url https://example.org", "an option for pip"),
        ("-r other.txt", "an option for pip"),
        ("-e .", "an option for pip"),
        ("numpy; os_name ~= 'nt'", "applies cannot be told"),
        ("numpy; " + "(" * 20_000, "not the name and version"),
        ("numpy==1.0 --hash=sha256:00", "not the name and version"),
    ],
)
def test_a_line_that_is_no_name_and_version_is_refused_and_named(tmp_path: Path, line: str, words: str) -> None:
    for folder in (
        model(tmp_path / "a", f"numpy\n{line}\n"),
        model(tmp_path / "b", conda__yaml=json.dumps({"dependencies": ["python=3.11", {"pip": [line]}]})),
    ):
        with pytest.raises(EnvironmentFailed, match=words) as refused:
            environments.asked_by(folder)
        assert refused.value.code == "requirement_refused" and line[:10] in refused.value.message


@pytest.mark.parametrize(
    "files, words",
    [
        ({"conda__yaml": "dependencies: [cudatoolkit=11]"}, "one for conda"),
        ({"conda__yaml": "a: [b"}, "cannot be read"),
        ({"conda__yaml": "a: 2026-13-45"}, "cannot be read"),
        ({"python_env__yaml": "python: newest"}, "of Python is none"),
        ({"MLmodel": "mlflow_version: '1; rm -rf /'"}, "of mlflow is none"),
        ({"requirements": "numpy\n" * 1001}, "more than 1000"),
        ({"requirements": "#" * (1 << 20) + "\n"}, "larger than"),
    ],
)
def test_files_that_cannot_be_believed_are_refused(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(EnvironmentFailed, match=words):
        environments.asked_by(model(tmp_path, files.pop("requirements", None), **files))


def test_text_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(EnvironmentFailed, match="UTF-8"):
        environments.asked_by(tmp_path)


def test_the_workers_own_environment_is_used_where_it_satisfies_the_pins(tmp_path: Path) -> None:
    asked = environments.asked_by(
        model(tmp_path, f"scikit-learn=={version('scikit-learn')}\nnumpy>=1\nmlflow\n", python_env__yaml=f"python: {OWN}.0")
    )
    said: list[str] = []
    found = environments.provide(asked, Builder(tmp_path / "environments", None), said.append)
    assert (found.python, found.folder, said) == (Path(sys.executable), None, [])
    assert "the worker's own" in found.said and not (tmp_path / "environments").exists()


def test_where_none_is_built_the_error_names_what_is_missing(tmp_path: Path) -> None:
    asked = environments.asked_by(model(tmp_path, "scikit-learn==0.1\nnosuchthing\n", python_env__yaml="python: 2.7"))
    assert environments.unmet(asked) == ["python==2.7", "scikit-learn==0.1", "nosuchthing"]
    with pytest.raises(EnvironmentFailed, match=r"python==2\.7, scikit-learn==0\.1, nosuchthing") as failed:
        environments.provide(asked, Builder(tmp_path / "environments", None), lambda _: None)
    assert failed.value.code == "environment_unavailable" and "Install uv" in failed.value.message


def test_equal_pins_share_an_environment_and_others_do_not(tmp_path: Path) -> None:
    def digest(name: str, text: str, **files: str) -> str:
        return environments.asked_by(model(tmp_path / name, text, **files)).digest

    assert (
        digest("a", "x==1\ny==2\n")
        == digest("b", "y==2\n\n# why\nx==1\n")
        == digest("c", "x==1\ny==2\n", python_env__yaml=f"python: {OWN}.9")
    )
    assert (
        len(
            {
                digest("a", "x==1\ny==2\n"),
                digest("d", "x==1\ny==3\n"),
                digest("e", "x==1\ny==2\n", python_env__yaml="python: 3.9"),
            }
        )
        == 3
    )


def index() -> dict[str, str]:
    """Return what this machine tells pip about the package index, as uv is to be told."""
    told = {"UV_DEFAULT_INDEX": ("PIP_INDEX_URL", "global.index-url"), "SSL_CERT_FILE": ("PIP_CERT", "global.cert")}
    found = {}
    for name, (variable, key) in told.items():
        command = [str(UV.parent / "python"), "-m", "pip", "--disable-pip-version-check", "config", "get", key]
        value = os.environ.get(name) or os.environ.get(variable)
        value = value or subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        found |= {name: value} if value else {}
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A builder with this machine's index, and the text model whose pins only an environment of its own satisfies."""
    folder = tmp_path_factory.mktemp("environments")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in index().items():
            patch.setenv(name, value)
        yield Builder(folder, UV, timeout_seconds=300)


OLDER = "0.9.0"
TEXT_MODEL = """
import tabulate
class Model:
    def predict(self, data, params=None):
        import sys
        print("answered by", tabulate.__version__, sys.prefix)
        return [1.0 if tabulate.__version__ == {older!r} else 0.0 for _ in range(len(data))]
def _load_pyfunc(path):
    return Model()
"""


@pytest.mark.skipif(not UV.exists(), reason="uv was not set up")
@pytest.mark.parametrize(
    "isolation",
    [
        pytest.param(
            Isolation.BUBBLEWRAP, marks=pytest.mark.skipif(not sandbox.detect().available, reason=sandbox.detect().reason)
        ),
        Isolation.PROCESS,
    ],
)
def test_a_model_is_asked_in_the_environment_of_its_pins(built: Builder, tmp_path: Path, isolation: Isolation) -> None:
    """`tabulate` is pinned, which the worker has not; measuring goes on in the worker's environment."""
    folder = model(
        tmp_path / "model",
        f"mlflow-skinny=={version('mlflow')}\npandas=={version('pandas')}\npyarrow=={version('pyarrow')}\ntabulate=={OLDER}\n",
        MLmodel="flavors:\n  python_function:\n    loader_module: textual\n    code: code\n",
    )
    (folder / "code").mkdir()
    (folder / "code" / "textual.py").write_text(TEXT_MODEL.format(older=OLDER))
    data = tmp_path / "rows.csv"
    data.write_text("a,y\n" + "".join(f"{n},1.0\n" for n in range(20)))
    asked = environments.asked_by(folder)
    assert environments.unmet(asked) == [f"tabulate=={OLDER}"]
    is_built = (built.folder / asked.digest / ".ready").exists()  # by the first of these tests
    if not is_built:  # a build that was cut off is begun anew
        (built.folder / asked.digest / "bin").mkdir(parents=True)
        (built.folder / asked.digest / "half").touch()
    said: list[str] = []
    answering = environments.provide(asked, built, said.append)
    assert len(said) == (0 if is_built else 1) and not (built.folder / asked.digest / "half").exists()
    assert answering.folder is not None and answering.said.startswith("built from the model's requirements, sha256:")
    outcome = sandbox.run(
        {"check": "performance", "parameters": {"task": "regression"}, "dataset": {"target": "y"}, "seed": 0},
        model_dir=folder,
        dataset_path=data,
        limits=Limits(wall_seconds=60, cpu_seconds=40),
        isolation=isolation,
        heartbeat=lambda _: True,
        answering=answering,
    )
    assert (outcome.status, outcome.error_message) == (Status.COMPLETED, "")
    assert {each.metric: each.value for each in outcome.measurements}["mae"] == 0.0
    assert f"answered by {OLDER} {answering.folder}" in outcome.log_tail


@pytest.mark.skipif(not UV.exists(), reason="uv was not set up")
def test_a_requirement_that_cannot_be_had_is_named(built: Builder, tmp_path: Path) -> None:
    asked = environments.asked_by(model(tmp_path, "tabulate==0.0.0.1\n"))
    with pytest.raises(EnvironmentFailed, match=r"tabulate==0\.0\.0\.1") as failed:
        environments.provide(asked, built, lambda _: None)
    assert failed.value.code == "environment_failed" and not (built.folder / asked.digest / ".ready").exists()


def test_mlflow_skinny_with_what_mlflow_brings_counts_as_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the image of the worker, which has no mlflow: the tests' environment has both."""
    asked = environments.asked_by(model(tmp_path, f"mlflow=={version('mlflow')}\nnumpy\n"))
    installed = {
        "mlflow-skinny": version("mlflow-skinny"),
        "numpy": "2",
        "pandas": "3",
        "pyarrow": "25",
        "scikit-learn": "1.9",
        "scipy": "1",
    }

    def found(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(environments, "version", found)
    assert environments.unmet(asked) == []
    installed["mlflow-skinny"] = "2.0"
    assert environments.unmet(asked) == [f"mlflow=={version('mlflow')}"]
    installed |= {"mlflow-skinny": version("mlflow")}
    del installed["scipy"]
    assert environments.unmet(asked) == [f"mlflow=={version('mlflow')}"]

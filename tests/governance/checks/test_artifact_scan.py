"""Honest models come out clean; whatever could run code, or cannot be read, never does."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from governance.checks.artifact_scan import ArtifactScan
from governance.checks.base import Finding, Measurement, Table
from governance.checks.scanning import allowlist, pickles
from governance.checks.scanning.limits import Limits, Unreadable
from governance.checks.subject import Subject

ROOT = Path(__file__).resolve().parents[3]
MARKER = "countersign-was-here"


class Payload:
    """Would create a marker file when loaded."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {MARKER}",)


class ByName:
    """Imports any name and calls it."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


def scan(model_dir: Path) -> tuple[dict[str, float | None], list[Finding], Table]:
    results = list(ArtifactScan().run(Subject(model_dir)))
    counts = {each.slice: each.value for each in results if isinstance(each, Measurement) and each.metric == "scan.findings"}
    findings = [each for each in results if isinstance(each, Finding)]
    return counts, findings, next(each for each in results if isinstance(each, Table))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a plain MLmodel file, to which a test adds its own."""
    (tmp_path / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    return tmp_path


def rules(model_dir: Path) -> set[tuple[str, str]]:
    found = {(each.rule, each.severity) for each in scan(model_dir)[1]}
    assert not Path(MARKER).exists()
    return found


def estimators() -> list[Any]:
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm

    return [
        ensemble.RandomForestClassifier(3),
        ensemble.GradientBoostingClassifier(n_estimators=3),
        ensemble.HistGradientBoostingClassifier(max_iter=3),
        ensemble.StackingClassifier([("a", linear_model.LogisticRegression())], cv=2),
        linear_model.SGDClassifier(loss="log_loss"),
        naive_bayes.GaussianNB(),
        neighbors.KNeighborsClassifier(),
        neural_network.MLPClassifier((3,), max_iter=300, solver="lbfgs"),
        svm.SVC(),
        pipeline.make_pipeline(preprocessing.FunctionTransformer(np.log1p), linear_model.LogisticRegression()),
    ]


@pytest.fixture(scope="module")
def trained() -> list[Any]:
    random = np.random.default_rng(0)
    data = pd.DataFrame(random.random((80, 4)), columns=list("abcd"))
    labels = np.where(data["a"] > 0.5, "good", "bad").astype(object)
    return [each.fit(data, labels) for each in estimators()]


@pytest.mark.parametrize("form", ["skops", "cloudpickle"])
def test_what_mlflow_saves_is_clean(credit: Any, form: str) -> None:
    counts, findings, table = scan(getattr(credit, form))
    assert findings == [] and counts[""] == 0.0
    assert {row[0] for row in table.rows} == {path.name for path in getattr(credit, form).iterdir()}


def test_honest_estimators_are_clean_in_every_form(trained: list[Any], model: Path) -> None:
    import skops.io

    for index, each in enumerate(trained):
        for protocol in range(6):
            (model / f"{index}-{protocol}.pkl").write_bytes(pickle.dumps(each, protocol))
        joblib.dump(each, model / f"{index}.joblib")
        for compression in ("zlib", "gzip", "bz2", "xz", "lzma"):
            joblib.dump(each, model / f"{index}-{compression}.joblib", compress=(compression, 3))
        skops.io.dump(each, model / f"{index}.skops")
    assert scan(model)[1] == []


def dumps(value: Any, protocol: int = 4) -> bytes:
    return pickle.dumps(value, protocol)


NESTED_ARRAY = np.array([Payload()], dtype=object)


def as_joblib(value: Any, **more: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer, **more)
    return buffer.getvalue()


def as_zip(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return buffer.getvalue()


def as_npy(value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=True)
    return buffer.getvalue()


def wrapped_array_hiding(payload: bytes) -> bytes:
    """A joblib array whose bytes are a pickle: joblib skips them, pickle.load goes on and runs them."""
    zeros = b"\x00" * 300
    head, _, tail = as_joblib(np.zeros(len(zeros), dtype="u1")).partition(zeros)
    padding = len(head) - len(head.rstrip(b"\xff"))
    # The first byte says how much padding follows; 0x80, with which a pickle begins, is 128.
    return head[: len(head) - padding - 1] + payload.ljust(1 + 0x80 + len(zeros), b"\x00") + tail


DANGEROUS = {
    "os.system": dumps(Payload()),
    "protocol 0": dumps(Payload(), 0),
    "eval": dumps(ByName(eval, "1")),
    "import_module": dumps(ByName(__import__("importlib").import_module, "os")),
    "getattr": dumps(ByName(getattr, "a", "upper")),
    "second pickle": dumps([1]) + dumps(Payload()),
    "broken after payload": dumps(Payload())[:-1] + b"\xff\xff",
    "dotted name": b"\x80\x04\x8c\x10sklearn.pipeline\x8c\x09os.system\x93\x8c\x04true\x85R.",
    "computed name": b"\x80\x04\x8c\x02os\x94]\x94\x93.",
    "joblib": as_joblib(Payload()),
    "joblib nested": as_joblib(NESTED_ARRAY),
    "joblib zlib": as_joblib(Payload(), compress=("zlib", 3)),
    "joblib xz of nested": as_joblib({"a": [NESTED_ARRAY]}, compress=("xz", 3)),
    "joblib array that is a pickle": wrapped_array_hiding(dumps(Payload())),
    "npy": as_npy(NESTED_ARRAY),
    "npz": as_zip(arr_dot_npy=as_npy(NESTED_ARRAY)),
    "torch zip": as_zip(archive__data_dot_pkl=dumps(Payload())),
    "zip in gzip in zip": as_zip(a_dot_gz=gzip.compress(as_zip(b_dot_pkl=dumps(Payload())))),
    "gzip": gzip.compress(dumps(Payload()), mtime=0),
    "bz2": bz2.compress(dumps(Payload())),
    "lzma alone": lzma.compress(dumps(Payload()), format=lzma.FORMAT_ALONE),
    "zlib twice": zlib.compress(zlib.compress(dumps(Payload()))),
}


@pytest.mark.parametrize("suffix", [".pkl", ".bin", ".txt", ".json"])
@pytest.mark.parametrize("name", DANGEROUS)
def test_what_runs_code_is_found_under_any_suffix(model: Path, name: str, suffix: str) -> None:
    (model / f"file{suffix}").write_bytes(DANGEROUS[name])
    assert {severity for _, severity in rules(model)} & {"high", "critical"}, name


def test_what_python_would_run_before_it_breaks_is_named(model: Path) -> None:
    (model / "model.pkl").write_bytes(dumps(Payload())[:-1] + b"\xff")
    assert {rule for rule, _ in rules(model)} == {"dangerous-name", "broken-pickle"}


def test_code_inside_a_cloudpickle_is_called_by_its_name(model: Path) -> None:
    import cloudpickle

    (model / "model.pkl").write_bytes(cloudpickle.dumps(lambda x: x + 1))
    assert ("embedded-code", "high") in rules(model)


def test_a_skops_file_with_an_unknown_type(model: Path) -> None:
    import skops.io

    class Mine:
        pass

    skops.io.dump({"a": Mine()}, model / "model.skops")
    assert ("untrusted-type", "high") in rules(model)


@pytest.mark.parametrize(
    "name, data, rule",
    [
        ("weights.bin", b"\x01\x02\xff\xfe" * 9, "unknown-format"),
        ("model.zst", b"\x28\xb5\x2f\xfd" + b"x" * 20, "unknown-format"),
        ("model.pkl", b"\x80\x04\x95", "broken-pickle"),
        ("model.gz", b"\x1f\x8b" + b"x" * 30, "unreadable"),
        ("model.gz", gzip.compress(b"x" * 5000, mtime=0)[:-20], "unreadable"),
        ("model.zip", as_zip(a=b"x" * 2000)[:-30], "unreadable"),
        ("model.npy", as_npy(np.zeros(9))[:-4], "unreadable"),
        ("model.onnx", b"\xff\xff\xff\xff", "unreadable"),
        ("lib.so", b"\x7fELF\x02", "native-code"),
        ("loader.py", b"import os\n", "code"),
        ("run", b"#!/bin/sh\ntrue\n", "code"),
        ("conda.yaml", b"a: [1, 2\n", "unreadable"),
        ("extra.yaml", b"a: !!python/object/apply:os.system [true]\n", "yaml-tag"),
        ("evil.zip", as_zip(**{"..__..__etc__passwd": b"x"}), "path-escape"),
    ],
)
def test_what_is_unknown_broken_or_code_is_a_finding(model: Path, name: str, data: bytes, rule: str) -> None:
    (model / name).write_bytes(data)
    found = dict(rules(model))
    assert rule in found and found[rule] in ("medium", "high", "critical")


def test_formats_that_hold_no_code_are_clean(model: Path) -> None:
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    pd.DataFrame({"a": [1, 2]}).to_parquet(model / "rows.parquet")
    np.save(model / "numbers.npy", np.arange(6.0).reshape(2, 3))
    np.savez_compressed(model / "numbers.npz", a=np.arange(3), b=np.array(["x"]))
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    (model / "model.onnx").write_bytes(b"\x08\x0a" + b"\x12\x02py" + b"\x3a\x03abc")
    (model / "model.ubj").write_bytes(b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner\xff}")
    (model / "README.md").write_text("cat\nand\ncredit\n")
    (model / "empty").touch()
    assert rules(model) == set()


@pytest.mark.parametrize(
    "line, rule",
    [
        ("--index-url https://evil.example/simple", "requirement-option"),
        ("-e .", "requirement-option"),
        ("git+https://evil.example/x.git", "requirement-address"),
        ("numpy @ https://evil.example/numpy.whl", "requirement-address"),
        ("./local.whl", "requirement-address"),
        ("numpy; os.system('x') /", "requirement-form"),
    ],
)
def test_requirements_from_elsewhere_are_findings_in_either_file(model: Path, line: str, rule: str) -> None:
    (model / "requirements.txt").write_text(f"numpy==2.0\nscikit-learn[tests]>=1,<2  # usual\n{line}\n")
    assert {each for each, _ in rules(model)} == {rule}
    (model / "requirements.txt").unlink()
    (model / "conda.yaml").write_text(f'channels: [conda-forge]\ndependencies:\n- python=3.11\n- pip:\n  - "{line}"\n')
    assert {each for each, _ in rules(model)} == {rule}


@pytest.mark.parametrize(
    "mlmodel, expected",
    [
        ("flavors: {python_function: {loader_module: os}}", ("unknown-loader", "high")),
        ("flavors: {python_function: {loader_module: mlflow.pyfunc.model}}", ("custom-code", "medium")),
        ("flavors: {python_function: {loader_module: mlflow.sklearn, code: code}}", ("custom-code", "medium")),
        ("flavors: {sklearn: {pickled_model: ../../other.pkl}}", ("path-escape", "high")),
        ("flavors: {sklearn: {skops_trusted_types: [os.system]}}", ("trusted-type", "high")),
        ("flavors: {}", ("no-flavour", "medium")),
        ("flavors: {a: !!python/name:os.system ''}", ("yaml-tag", "critical")),
    ],
)
def test_fields_of_mlmodel_that_name_code_are_findings(tmp_path: Path, mlmodel: str, expected: tuple[str, str]) -> None:
    (tmp_path / "MLmodel").write_text(mlmodel)
    assert expected in rules(tmp_path)


def test_a_folder_without_mlmodel_is_not_clean(tmp_path: Path) -> None:
    assert ("no-mlmodel", "medium") in rules(tmp_path)


def test_links_and_pipes_are_not_followed(model: Path) -> None:
    (model / "link").symlink_to("/etc/hostname")
    (model / "folder").symlink_to("/etc")
    os.mkfifo(model / "pipe")
    assert {("link", "high"), ("special-file", "high")} == rules(model)
    assert len(scan(model)[2].rows) == 4


def test_links_and_escapes_in_a_tar_are_findings(model: Path) -> None:
    with tarfile.open(model / "model.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../outside"))
    assert {rule for rule, _ in rules(model)} == {"link", "path-escape"}


def test_bombs_stop_before_memory_does() -> None:
    small = Limits(largest_bytes=1 << 20)
    with pytest.raises(Unreadable, match="larger"):
        small.read(io.BytesIO(b"0" * (3 << 20)).read, 10)
    with pytest.raises(Unreadable, match="200 times"):
        Limits().check_size(65 << 20, 1000)


def test_a_bomb_is_a_finding(model: Path) -> None:
    (model / "model.gz").write_bytes(gzip.compress(b"0" * (70 << 20), 1))
    assert ("bomb", "high") in rules(model)
    nested = b"text"
    for _ in range(8):
        nested = gzip.compress(nested)
    (model / "model.gz").write_bytes(nested)
    assert ("bomb", "high") in rules(model)


def test_bytes_that_joblib_skips_and_pickle_runs_are_followed_both_ways(tmp_path: Path) -> None:
    hiding = wrapped_array_hiding(dumps(ByName(len, "abc")))
    assert isinstance(joblib.load(io.BytesIO(hiding)), np.ndarray) and pickle.loads(hiding) == 3
    assert pickles.Global("builtins", "len") in pickles.follow(hiding).names


def test_a_type_that_contradicts_its_size_is_not_followed() -> None:
    """With another item size joblib would skip other bytes than we do, and run what we skipped."""
    honest = as_joblib(np.zeros(3, dtype="S1"))
    assert pickles.follow(honest).skipped_arrays
    lying = honest.replace(b"K\x01K\x01K\x00t", b"K\x09K\x01K\x00t")
    assert lying != honest
    with pytest.raises(pickles.PartlyRead, match="contradicts"):
        pickles.follow(lying)


def test_the_allow_list_names_only_what_the_frameworks_define() -> None:
    """A module may import a class from elsewhere; through it a pickle could reach what the list does not mean."""
    import importlib
    import pkgutil
    import warnings

    import sklearn

    outside = set()
    own = ("sklearn", "numpy", "scipy", "pandas", "abc", "numbers", "collections", "typing", "builtins", "inspect", "itertools")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for found in pkgutil.walk_packages(sklearn.__path__, "sklearn."):
            if ".tests" in found.name or not allowlist.allows(found.name, "Anything"):
                continue
            module = importlib.import_module(found.name)
            for name, member in vars(module).items():
                origin = str(getattr(member, "__module__", "") or "builtins").partition(".")[0]
                if allowlist.allows(found.name, name) and callable(member) and origin not in own:
                    outside.add((origin, name))
    assert outside <= {("_io", "StringIO")}, outside


def test_the_scan_needs_no_machine_learning_library(credit: Any) -> None:
    code = (
        "import sys; from pathlib import Path; from governance.checks.artifact_scan import ArtifactScan;"
        "from governance.checks.subject import Subject;"
        f"list(ArtifactScan().run(Subject(Path({str(credit.cloudpickle)!r}))));"
        "print([m for m in ('mlflow', 'sklearn', 'pandas', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_changed_byte_never_crashes_the_scan(credit: Any, model: Path) -> None:
    random = np.random.default_rng(5)
    original = (credit.cloudpickle / "model.pkl").read_bytes()
    shutil.copy(credit.cloudpickle / "MLmodel", model / "MLmodel")
    for _ in range(150):
        data = bytearray(original)
        data[random.integers(len(data))] = random.integers(256)
        (model / "model.pkl").write_bytes(bytes(data[: random.integers(1, len(data) + 1)] if random.random() < 0.3 else data))
        scan(model)


PYFUNC = """
flavors:
  python_function:
    loader_module: mlflow.pyfunc.model
    code: code
    python_model: python_model.pkl
    artifacts: {weights: {path: artifacts/weights.json, uri: %s}}
"""


def test_a_model_of_ones_own_is_custom_code_and_no_worse(tmp_path: Path) -> None:
    """MLflow notes where an artifact was copied from, and the pickle imports its class from the code beside it."""
    (tmp_path / "MLmodel").write_text(PYFUNC % "/srv/dana/weights.json")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "scorecard.py").write_text("class Scorecard: ...")
    held = b"\x80\x02cscorecard\nScorecard\n0cmlflow.models.signature\n_TypeHints\n."
    (tmp_path / "python_model.pkl").write_bytes(held)
    assert rules(tmp_path) == {("custom-code", "medium"), ("code", "medium")}
    for worse, found in ((b"\x80\x02cscorecards\nScorecard\n.", "unknown-name"), (b"\x80\x02cos\nsystem\n.", "dangerous-name")):
        (tmp_path / "code" / "os.py").write_text("")
        (tmp_path / "python_model.pkl").write_bytes(worse)
        assert found in {rule for rule, _ in rules(tmp_path)}
    (tmp_path / "python_model.pkl").write_bytes(held)
    (tmp_path / "MLmodel").write_text((PYFUNC % "/a").replace("path: artifacts/weights.json", "path: /a"))
    assert ("path-escape", "high") in rules(tmp_path)


def test_networks_of_pytorch_are_clean_and_only_numbers_may_be_without_a_format(model: Path) -> None:
    numbers = np.arange(40, dtype="float32").tobytes()

    def archived(**members: bytes) -> None:
        with zipfile.ZipFile(model / "model.pth", "w") as archive:
            for name, content in members.items():
                archive.writestr(f"model/{name}", content)

    known = b"ctorch._utils\n_rebuild_tensor_v2\nctorch.nn.modules.linear\nLinear\n0."
    archived(**{"data.pkl": known, "data/0": numbers})
    assert rules(model) == set()
    archived(**{"archive_format": b"pt2", "data/weights/weight_0": numbers})
    assert rules(model) == set()
    archived(**{"data.pkl": known, "data/0": numbers, "extra": numbers})
    assert rules(model) == {("unknown-format", "medium")}
    archived(**{"data/0": numbers})
    assert rules(model) == {("unknown-format", "medium")}
    archived(**{"data.pkl": b"ctorch.hub\nload\n.", "data/0": numbers})
    assert {severity for _, severity in rules(model)} & {"high", "critical"}

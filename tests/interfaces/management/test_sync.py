"""sync_policies and export_policies: a folder of files, as a git checkout or a mounted volume gives it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from core.models import AuditEvent
from governance.models import Binding, PolicyRevision
from interfaces.management.folders import LARGEST, read_folder
from tests.interfaces.management.conftest import BINDING, POLICY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout: documents beside what is not one."""
    root = tmp_path / "checkout"
    for name, text in {
        "policies/has-reviewers.yaml": POLICY,
        "bindings/production.yaml": BINDING,
        ".git/config.yaml": "not: ours",
        ".github/workflows/check.yml": "on: push",
        "README.md": "# Policies",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_checking_says_what_would_change_and_writes_nothing(run, refused, folder) -> None:
    said = run("sync_policies", str(folder), "--check")
    assert said.splitlines() == [
        f"would publish policy has-reviewers: revision 1 ({folder}/policies/has-reviewers.yaml:1)",
        f"would bind    binding production: has-reviewers (enforce) on stage Production ({folder}/bindings/production.yaml:1)",
    ]
    assert refused("sync_policies", str(folder), "--check", "--fail-on-change").returncode == 1
    assert not PolicyRevision.objects.exists() and not AuditEvent.objects.exists()


def test_applying_does_it_as_the_operator_and_then_nothing_differs(run, folder) -> None:
    said = run("sync_policies", str(folder), "--apply")
    assert said.startswith("published     policy has-reviewers") and "\nbound         binding production" in said
    assert Binding.objects.get().policy.name == "has-reviewers"
    (by,) = set(AuditEvent.objects.values_list("actor", flat=True))
    assert by.startswith("os:")
    events = AuditEvent.objects.count()
    again = run("sync_policies", str(folder), "--check", "--fail-on-change")
    assert [line.split()[0] for line in again.splitlines()] == ["unchanged", "unchanged"]
    run("sync_policies", str(folder), "--apply")
    assert AuditEvent.objects.count() == events


def test_mistakes_are_told_by_file_line_and_column_with_status_1_and_nothing_is_done(refused, folder) -> None:
    (folder / "bindings" / "production.yaml").write_text(BINDING.replace("Production", "Heaven"))
    (folder / "bindings" / "torn.yaml").write_text("kind: Binding\nname: [\n")
    (folder / "bindings" / "latin.yaml").write_bytes(b"kind: Binding\nname: caf\xe9\n")
    for how in ("--check", "--apply"):
        error = refused("sync_policies", str(folder), how)
        assert error.returncode == 1
        lines = str(error).splitlines()
        assert [line.removeprefix(f"{folder}/bindings/").partition(": ")[0] for line in lines[1:]] == [
            "latin.yaml:1:1",
            "production.yaml:5:12",
            "torn.yaml:3:1",
        ]
    assert not PolicyRevision.objects.exists()


def test_pruning_ends_what_no_file_names(run, folder) -> None:
    run("sync_policies", str(folder), "--apply")
    (folder / "bindings" / "production.yaml").unlink()
    assert "production" not in run("sync_policies", str(folder), "--apply")
    assert Binding.objects.filter(valid_to__isnull=True).exists()
    assert "would end     binding production: no file names it" in run("sync_policies", str(folder), "--check", "--prune")
    assert "ended         binding production" in run("sync_policies", str(folder), "--apply", "--prune")
    assert not Binding.objects.filter(valid_to__isnull=True).exists()


def test_a_folder_that_is_not_there_prunes_nothing(run, refused, folder) -> None:
    run("sync_policies", str(folder), "--apply")
    error = refused("sync_policies", str(folder / "polices"), "--apply", "--prune")
    assert error.returncode == 1 and "there is no such folder" in str(error)
    assert Binding.objects.filter(valid_to__isnull=True).exists()


def test_it_is_said_whether_to_check_or_to_apply(refused, folder) -> None:
    for how in ([], ["--check", "--apply"], ["--apply", "--fail-on-change"]):
        assert isinstance(refused("sync_policies", str(folder), *how), CommandError)


def test_links_are_followed_within_the_folder_and_refused_out_of_it(tmp_path) -> None:
    root = tmp_path / "mounted"
    # As Kubernetes mounts a ConfigMap: the files are links into a hidden folder that is swapped as a whole.
    (root / "..2026").mkdir(parents=True)
    (root / "..2026" / "policy.yaml").write_text(POLICY)
    (root / "..data").symlink_to("..2026")
    (root / "policy.yaml").symlink_to("..data/policy.yaml")
    (root / "sub").mkdir()
    (root / "again").symlink_to("sub")
    assert [source.file for source in read_folder(root)[0]] == [str(root / "policy.yaml")] and read_folder(root)[1] == []
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "other.yaml").write_text(BINDING)
    (root / "other.yaml").symlink_to(outside / "other.yaml")
    (root / "folder").symlink_to(outside)
    (root / "circle.yaml").symlink_to("circle.yaml")
    (root / "LICENSE").symlink_to("/etc/hostname")
    sources, wrong = read_folder(root)
    assert [source.file for source in sources] == [str(root / "policy.yaml")]
    assert [(Path(m.file).name, m.message.partition(";")[0]) for m in wrong if "circle" not in m.file] == [
        ("folder", "is a link out of the folder"),
        ("other.yaml", "is a link out of the folder"),
    ]
    assert len(wrong) == 3


def test_what_is_no_file_to_read_is_a_mistake(tmp_path) -> None:
    (tmp_path / "short.yml").write_text(POLICY)
    (tmp_path / "large.yaml").write_text("#" * (LARGEST + 1))
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "remark.yaml").write_text("# to come\n")
    sources, wrong = read_folder(tmp_path)
    assert sources == []
    assert [Path(m.file).name for m in wrong] == ["large.yaml", "pipe.yaml", "short.yml"]


def test_a_file_may_hold_several_documents(tmp_path) -> None:
    (tmp_path / "all.yaml").write_text(f"# ours\n---\n{POLICY}--- # and where\n{BINDING}---\n# nothing more\n")
    sources, wrong = read_folder(tmp_path)
    assert wrong == [] and [(s.text, s.line) for s in sources] == [(POLICY, 2), (BINDING, 3 + POLICY.count("\n"))]
    alone = f"---\r\n{POLICY}"
    (tmp_path / "all.yaml").write_bytes(alone.encode())
    assert [s.text for s in read_folder(tmp_path)[0]] == [alone], "what stands alone is kept byte for byte"


def test_what_is_exported_comes_in_unchanged_and_is_written_again_the_same(run, folder, tmp_path) -> None:
    crlf = POLICY.replace("\n", "\r\n").replace("has-reviewers", "from-windows")
    (folder / "policies" / "from-windows.yaml").write_bytes(crlf.encode())
    run("sync_policies", str(folder), "--apply")
    out = tmp_path / "out"
    said = run("export_policies", str(out))
    assert sorted(said.split()) == sorted(str(path) for path in out.rglob("*.yaml"))
    assert (out / "policies" / "from-windows.yaml").read_bytes() == crlf.encode()
    written = {path: path.read_bytes() for path in out.rglob("*.yaml")}
    run("sync_policies", str(out), "--check", "--fail-on-change", "--prune")
    run("sync_policies", str(out), "--apply", "--prune")
    run("export_policies", str(out))
    assert {path: path.read_bytes() for path in out.rglob("*.yaml")} == written


def test_an_export_is_not_mixed_with_what_would_come_in_beside_it(run, refused, folder, tmp_path) -> None:
    run("sync_policies", str(folder), "--apply")
    out = tmp_path / "out"
    run("export_policies", str(out))
    (out / "bindings" / "stale.yaml").write_text(BINDING.replace("name: production", "name: stale"))
    error = refused("export_policies", str(out))
    assert error.returncode == 2 and "stale.yaml" in str(error)
    (out / "bindings" / "stale.yaml").unlink()
    target = tmp_path / "elsewhere"
    target.write_text("kept")
    (out / "bindings" / "production.yaml").unlink()
    (out / "bindings" / "production.yaml").symlink_to(target)
    assert refused("export_policies", str(out)).returncode == 2 and target.read_text() == "kept"


def test_the_operator_needs_no_account(folder, db) -> None:
    call_command("sync_policies", str(folder), "--apply")
    assert PolicyRevision.objects.get().published_by is None

"""publish_policy and bind_policy."""

from __future__ import annotations

from governance.models import Binding, PolicyRevision


def test_a_policy_is_published_once_and_bound(run, policy_file, binding_file) -> None:
    assert "has-reviewers revision 1, sha256:" in run("publish_policy", str(policy_file))
    assert "revision 1" in run("publish_policy", str(policy_file))
    assert "production binds has-reviewers" in run("bind_policy", str(binding_file))
    assert PolicyRevision.objects.count() == 1
    assert Binding.objects.get(valid_to__isnull=True).policy.name == "has-reviewers"


def test_a_mistake_is_told_with_its_file_line_and_column_and_nothing_is_published(run, refused, policy_file, tmp_path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(policy_file.read_text().replace("name: has-reviewers", "name: other").replace('"true"', "1 +"))
    error = refused("publish_policy", str(policy_file), str(wrong))
    assert error.returncode == 2
    assert f"{wrong}: " in str(error) and "line 7, column" in str(error)
    assert not PolicyRevision.objects.exists()


def test_a_binding_of_an_unpublished_policy_is_refused(refused, binding_file, tmp_path) -> None:
    error = refused("bind_policy", str(binding_file))
    assert error.returncode == 2 and "publish it before" in str(error)
    assert "No such file" in str(refused("bind_policy", str(tmp_path / "absent.yaml")))


def test_groups_that_a_policy_lacks_are_told_beside_what_was_done(run, policy_file, capsys) -> None:
    policy_file.write_text(policy_file.read_text().replace("group: reviewer", "group: model-risk"))
    assert "revision 1" in run("publish_policy", str(policy_file))
    assert f"{policy_file}: There is no group model-risk, which has-reviewers names" in capsys.readouterr().err

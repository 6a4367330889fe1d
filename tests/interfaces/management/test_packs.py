"""install_pack."""

from __future__ import annotations

import io

import pytest

from core.access import Actor
from governance import packs
from governance.models import Binding, ParameterSet, PolicyRevision
from registry.datasets import register_dataset
from tests.cast import actor


@pytest.fixture
def admin(pat) -> Actor:
    return actor(pat)


def test_the_packs_are_listed_and_explained(run, refused) -> None:
    assert run("install_pack").split() == packs.names() and "internal-baseline" in packs.names()
    assert run("install_pack", "sr-11-7", "--readme").strip() == packs.readme("sr-11-7").strip()
    assert "there are eu-ai-act-high-risk" in str(refused("install_pack", "sr-11-8"))
    assert not PolicyRevision.objects.exists()


@pytest.mark.parametrize("name", packs.names())
def test_every_pack_is_published_without_being_put_in_force(run, name) -> None:
    assert f"publish policy {name}: revision 1" in run("install_pack", name)
    assert PolicyRevision.objects.get().document == packs.documents(name)[0]
    assert not Binding.objects.exists()
    assert f"unchanged policy {name}" in run("install_pack", name)


def test_a_pack_is_put_in_force_once_its_data_is_there(run, refused, admin) -> None:
    error = refused("install_pack", "sr-11-7", "--bind")
    assert error.returncode == 2 and "There is no data set 'validation'" in str(error) and "--readme" in str(error)
    assert not PolicyRevision.objects.exists()
    register_dataset(actor=admin, name="validation", stream=io.BytesIO(b"x,y\n1,0\n"), format="csv", target="y", closed=True)
    assert "bind binding sr-11-7" in run("install_pack", "sr-11-7", "--bind")
    assert Binding.objects.get().parameters_name == ParameterSet.objects.get().name == "sr-11-7"


def test_a_pack_waits_for_the_data_that_its_checks_compare_with(run, refused, admin) -> None:
    for name in ("advisories", "prompts", "toxic-terms"):
        assert f"There is no data set '{name}'" in str(refused("install_pack", "llm-application", "--bind"))
        register_dataset(actor=admin, name=name, stream=io.BytesIO(b"x,y\n1,0\n"), format="csv", target="y", closed=True)
    assert "bind binding llm-application" in run("install_pack", "llm-application", "--bind")


def test_a_pack_is_copied_to_be_changed_and_brought_in(run, refused, tmp_path) -> None:
    said = run("install_pack", "internal-baseline", "--to", str(tmp_path / "ours"))
    assert len(said.split()) == len(packs.documents("internal-baseline"))
    assert "internal-baseline.policy.yaml is there already" in str(
        refused("install_pack", "internal-baseline", "--to", str(tmp_path / "ours"))
    )
    assert not PolicyRevision.objects.exists()
    assert "published     policy internal-baseline" in run("sync_policies", str(tmp_path / "ours"), "--apply")
    assert Binding.objects.exists()

"""A cluster of one's own in a file: every key documented, the traps caught, what is said has an effect."""

from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.specs.catalogue import load_cluster, load_gpu, names
from kolossos.specs.cluster import ClusterSpec, FabricSpec, PoolSpec, PowerSpec
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.listing import file_of

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"
POOL = {"gpu": "a100-40g", "count": 192}


def cluster(**fabric) -> ClusterSpec:
    return ClusterSpec.parse({"name": "ours", "pools": [POOL], "fabric": fabric}, "ours.toml")


@pytest.mark.parametrize("spec", [PoolSpec, FabricSpec, PowerSpec, GpuSpec])
def test_every_key_is_documented(spec) -> None:
    page = PAGE.read_text(encoding="utf-8")
    keys = [field.alias or name for name, field in spec.model_fields.items() if name not in ("name", "source")]
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_the_file_on_the_page_is_read(tmp_path: Path) -> None:
    blocks = PAGE.read_text(encoding="utf-8").split("```toml\n")[1:]
    path = tmp_path / "ours.toml"
    path.write_text(blocks[0].split("```")[0], encoding="utf-8")
    assert load_cluster(str(path)).fabric.nic_bytes_per_s == 100e9 / 8 / 8


@pytest.mark.parametrize("name", names("clusters"))
def test_what_is_shown_can_be_read_again(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text(file_of("clusters", name), encoding="utf-8")
    assert load_cluster(str(path)) == load_cluster(name)


def test_a_card_is_sought_beside_the_clusters_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards/ours.toml").write_text(file_of("gpus", "h100"), encoding="utf-8")
    (tmp_path / "c.toml").write_text('[[pools]]\ngpu = "cards/ours.toml"\ncount = 8\n', encoding="utf-8")
    monkeypatch.chdir(Path(__file__).parent)
    assert load_gpu(load_cluster(str(tmp_path / "c.toml")).pools[0].gpu).n_sms == load_gpu("h100").n_sms


@pytest.mark.parametrize(
    ("fabric", "said"),
    [
        ({"nic_bytes_per_s": 400e9}, r"3,200 Gb/s for each GPU.*4e\+11 bits a second are 5e\+10"),
        ({"nic_bytes_per_s": 50e9, "node_gbit_per_s": 100}, "give one of the two"),
        ({"node_gbit_per_s": "fast"}, "node_gbit_per_s: expected a number"),
        ({"nic_bytes_per_s": float("inf")}, "fabric.nic_bytes_per_s' = inf: expected a finite number"),
        ({"nic_bytes_per_s": 50}, "greater than or equal to 1000000"),
        ({"nics": 8}, "unknown key 'fabric.nics'"),
    ],
)
def test_traps_are_caught(fabric: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        cluster(**fabric)


def test_a_domain_that_cuts_nodes_is_refused() -> None:
    with pytest.raises(InputError, match="nvlink_domain = 7 is neither a part nor a multiple of gpus_per_node = 8"):
        ClusterSpec.parse({"name": "x", "pools": [POOL | {"nvlink_domain": 7}]}, "x.toml")


def test_kind_topology_and_tiers_change_the_answer_where_nothing_else_is_said() -> None:
    shapes = [
        {}, {"kind": "ethernet"}, {"kind": "efa"}, {"kind": "roce"}, {"kind": "roce", "tiers": 1},
        {"tiers": 1}, {"tiers": 2},
    ]  # fmt: skip
    found = {(cluster(**shape).fabric.efficiency, cluster(**shape).fabric.latency_s) for shape in shapes}
    assert len(found) == len(shapes)
    said = {"efficiency": 0.5, "latency_s": 1e-6}
    assert all(cluster(**shape, **said).fabric.model_dump(include=set(said)) == said for shape in shapes)

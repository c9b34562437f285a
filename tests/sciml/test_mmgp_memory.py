"""Memory does not grow with the number of samples: how much of them is held at once is counted."""

import gc
import weakref

import pytest
import torch
from mmgp_parts import CORNERS, arch, arches
from mmgp_settings import NO_WARNINGS_OF_OURS

from sciml.learners.mmgp import MMGP, MMGPConfig
from sciml.learners.mmgp.gaussian_processes import GaussianProcessConfig
from sciml.learners.mmgp.inner_products import mass_product
from sciml.learners.mmgp.reduction import CountRule, decompose
from sciml.learners.mmgp.snapshots import SnapshotTable, column_blocks, row_blocks

pytestmark = NO_WARNINGS_OF_OURS

MESH = arch(0.3, 0.1, 1.0)
#: Bytes of a block: four snapshots of the mesh above.
BLOCK = 4 * 8 * len(MESH.points)


class Counted(SnapshotTable):
    """Copies of rows are handed out; bytes of those that somebody still holds are counted."""

    def __init__(self, values):
        super().__init__(values)
        object.__setattr__(self, "tally", {"held": 0, "most": 0})

    def _lent(self, part):
        part, tally = part.clone(), self.tally
        size = part.nbytes
        tally["held"] += size
        tally["most"] = max(tally["most"], tally["held"])
        weakref.finalize(part, lambda: tally.update(held=tally["held"] - size))
        return part

    def rows(self, begin, end):
        return self._lent(super().rows(begin, end))

    def columns(self, begin, end):
        return self._lent(super().columns(begin, end))


def most_held(count, monkeypatch):
    monkeypatch.setattr(row_blocks, "__defaults__", (BLOCK,))
    generator = torch.Generator().manual_seed(0)
    table = Counted(torch.randn(count, len(MESH.points), generator=generator, dtype=torch.float64))
    whole = decompose(SnapshotTable(table.values), mass_product(MESH), CountRule(3)).reduction
    found = decompose(table, mass_product(MESH), CountRule(3)).reduction
    torch.testing.assert_close(found.modes, whole.modes, rtol=0, atol=1e-9)
    return table.tally["most"]


def test_a_decomposition_holds_two_blocks_of_snapshots_however_many_there_are(monkeypatch):
    few, many = most_held(16, monkeypatch), most_held(96, monkeypatch)
    assert few == many <= 2 * BLOCK


@pytest.mark.parametrize("blocks", [row_blocks, column_blocks])
@pytest.mark.parametrize("count", [1, 7, 400])
def test_blocks_cover_the_table_and_keep_to_their_size(blocks, count):
    table = SnapshotTable(torch.zeros(count, 50, dtype=torch.float64))
    found = list(blocks(table, limit=8 * 400))
    total = count if blocks is row_blocks else 50
    assert [i for begin, end in found for i in range(begin, end)] == list(range(total))
    width = 50 if blocks is row_blocks else count
    assert max(end - begin for begin, end in found) * width * 8 <= 8 * 400


class Lent:
    """Meshes made anew for whoever asks, as from a file; those that are alive are counted."""

    def __init__(self, parts):
        self.parts, self.alive, self.most = parts, 0, 0

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, number):
        part = self.parts[number]
        mesh = part.with_points(part.points)
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(mesh, self._back)
        return mesh

    def _back(self):
        self.alive -= 1


def test_training_holds_a_few_meshes_however_many_there_are():
    """Samples come one by one; only the search for the common mesh and its locators keep some."""
    config = MMGPConfig(
        gaussian_processes=GaussianProcessConfig(restarts=1, max_iterations=5),
        shape_modes=2,
        field_modes=2,
        scalar_transforms="none",
        refinements=0,
    )
    most = {}
    for count in (12, 48):
        gc.collect()
        parts = Lent(arches(count, seed=1, cells=(6, 5)))
        MMGP.from_meshes(parts, ("w",), ("load",), landmarks=CORNERS, config=config)
        most[count] = parts.most
    assert most[48] <= most[12] <= 4

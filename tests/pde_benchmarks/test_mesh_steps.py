"""Fields in steps as point fields with the step in their name: there and back, from files, and from a load path."""

from dataclasses import replace

import numpy as np
import pytest

from meshes import Mesh, write_mesh
from pde_benchmarks.elasticity import NotchedPlate, NotchedPlateSteps
from pde_benchmarks.elasticity.load_path import LoadPath
from pde_benchmarks.errors import DatasetError, ProblemError
from pde_benchmarks.mesh_step_files import MeshSeriesFiles, read_series, series_files
from pde_benchmarks.mesh_steps import at_step, join_steps, series_of, split_step, step_values, with_step_values

ROD = Mesh([[0.0], [1.0], [3.0]], {"line": [[0, 1], [1, 2]]}, global_data={"E": 2.0})


def solved(time):
    return replace(ROD, point_data={"u": time * ROD.points[:, 0]}, global_data={"E": 2.0, "tip": 3.0 * time})


@pytest.mark.parametrize("step", [0.0, 0.1, 1 / 3, 1e-7, 12345.0, -2.0])
def test_a_name_with_a_step_is_read_back(step):
    name, back = split_step(at_step("max_u", step))
    assert name == "max_u"
    assert back == pytest.approx(step, rel=1e-11, abs=0)


def test_a_series_is_put_on_a_mesh_and_read_back_in_the_order_of_its_steps():
    steps, values = [1.0, 0.25, 10.0], np.arange(9.0).reshape(3, 3)
    found, table = step_values(with_step_values(ROD, "u", steps, values), "u")
    np.testing.assert_array_equal(found, [0.25, 1.0, 10.0])
    np.testing.assert_array_equal(table, values[:, [1, 0, 2]])


def test_meshes_of_one_run_become_one_sample():
    """Fields and changing scalars side by side, constant scalars once."""
    joined = join_steps({t: solved(t) for t in (2.0, 1.0)})
    np.testing.assert_array_equal(step_values(joined, "u")[1], np.outer(ROD.points[:, 0], [1.0, 2.0]))
    assert {name: float(value) for name, value in joined.global_data.items()} == {"E": 2.0, "tip@1": 3.0, "tip@2": 6.0}


def test_series_of_files_are_samples(tmp_path):
    """By step, or by a ParaView collection; read when asked for."""
    for part in ("a", "b"):
        lines = []
        for number, time in enumerate((0.5, 1.0)):
            write_mesh(tmp_path / f"{part}_{number}.vtu", replace(solved(time), global_data={}))
            lines.append(f'<DataSet timestep="{time}" file="{part}_{number}.vtu"/>')
        text = f'<VTKFile type="Collection"><Collection>{"".join(lines)}</Collection></VTKFile>'
        (tmp_path / f"{part}.pvd").write_text(text)
    samples = MeshSeriesFiles((tmp_path / "a.pvd", tmp_path / "b.pvd"), ("u",))
    assert [sorted(mesh.point_data) for mesh in samples] == [["u@0.5", "u@1"]] * 2
    again = read_series(series_files(tmp_path / "a.pvd"))
    np.testing.assert_allclose(again.point_data["u@0.5"], 0.5 * ROD.points[:, 0])
    assert len(samples[:1]) == 1


def test_series_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="'u' is a field and, with 'u@1', a series"):
        series_of(["u", "u@1"])
    with pytest.raises(DatasetError, match="step 1: points or cells differ from those of step 2"):
        join_steps({1.0: ROD.with_points(2 * ROD.points), 2.0: ROD})
    with pytest.raises(DatasetError, match=r"step 1: no point field u \(there are none\)"):
        join_steps({1.0: ROD, 2.0: solved(2.0)})
    with pytest.raises(DatasetError, match=r"'u': values \(3, 1\) at the steps 1, 2"):
        with_step_values(ROD, "u", [1.0, 2.0], np.zeros((3, 1)))
    with pytest.raises(DatasetError, match="no such file"):
        read_series(tmp_path / "none.pvd")
    (tmp_path / "broken.pvd").write_text("<VTKFile><Collection/>")
    with pytest.raises(DatasetError, match="no collection of files with times"):
        read_series(tmp_path / "broken.pvd")
    (tmp_path / "empty.pvd").write_text("<VTKFile><Collection/></VTKFile>")
    with pytest.raises(DatasetError, match="no files: expected one file a time"):
        read_series(tmp_path / "empty.pvd")


@pytest.fixture(scope="module")
def plates():
    """One plate, its whole load path and its end alone."""
    steps, plate = NotchedPlateSteps(size=0.1), NotchedPlate(size=0.1)
    design = np.array([0.4, 0.1, 1.0, 48.0, 7e4, 81.0, 2000.0])
    return steps.solve(steps.part(design, seed=0)), plate.solve(plate.part(design, seed=0))


def test_the_last_step_is_the_solution_without_steps(plates):
    path, end = plates
    for name in NotchedPlate().fields:
        np.testing.assert_array_equal(path.point_data[f"{name}@1"], end.point_data[name])
    for name in NotchedPlate().scalars:
        assert path.global_data[f"{name}@1"] == end.global_data[name]


def test_plastic_strain_grows_with_the_load(plates):
    _, p = step_values(plates[0], "p")
    assert p[:, -1].max() > 0
    assert (np.diff(p, axis=1) >= 0).all()


def test_an_elastic_plate_is_proportional_to_its_load():
    """Without yielding u(λ) = λ u(1)."""
    problem = NotchedPlateSteps(size=0.1, levels=(0.25, 1.0))
    part = problem.part(problem.designs(1, seed=0)[0], seed=0)
    part = replace(part, global_data={**part.global_data, "R0": 1e6})
    _, v = step_values(problem.solve(part), "v")
    np.testing.assert_allclose(v[:, 0], 0.25 * v[:, 1], rtol=0, atol=1e-9 * np.abs(v).max())


def test_steps_between_increments_and_levels_that_fall_are_refused():
    problem = NotchedPlate(size=0.1)
    found = problem.solution(problem.part(problem.designs(1, seed=0)[0], seed=0))
    assert found.at(0.75).equilibrium.share == 0.75
    with pytest.raises(ProblemError, match=r"no increment ended at the share 0.6 of the load: expected one of 0, 0.5"):
        found.at(0.6)
    with pytest.raises(ProblemError, match="load levels"):
        NotchedPlateSteps(levels=(0.5, 0.4, 1.0))
    assert NotchedPlateSteps().levels == LoadPath().levels

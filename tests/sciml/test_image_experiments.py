"""`sciml run LEARNER --data FOLDER`: images as the data of a learner that denoises."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pde_benchmarks.errors import ConfigurationError as UnknownOption
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.imaging.image_denoising import ImageDenoising
from sciml.errors import ConfigurationError
from sciml.experiments import Experiment, Silent, read_tests, with_data


class Denoiser:
    denoises = True


@pytest.fixture(autouse=True)
def one_learner(monkeypatch):
    monkeypatch.setattr("sciml.experiments.experiment.learner_types", lambda: {"denoiser": Denoiser})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photographs").mkdir()
    for k in range(5):
        values = np.random.default_rng(k).integers(0, 256, (24, 32), dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / "photographs" / f"{k}.png")
    return tmp_path / "photographs"


def experiment(data, **settings):
    return Experiment(learner="denoiser", data=str(data), **settings)


def test_a_folder_of_images_needs_no_test_data(folder):
    data = with_data(experiment(folder, problem_settings={"patch": 8, "noise": 0.05}), Silent())
    assert isinstance(data.problem, ImageDenoising)
    assert data.problem.noise_level == 0.05
    assert [data.train.count, data.validation.count, data.tests["held_out"].count] == [36, 12, 12]
    assert "share no image" in data.found[0]


def test_further_images_are_tested_on_at_the_same_scale_and_noise(folder, tmp_path):
    np.savez(tmp_path / "more.npz", np.random.default_rng(9).random((2, 17, 16)))
    more = [str(tmp_path / "more.npz")]
    data = with_data(experiment(folder, problem_settings={"patch": 8}, test_data=more), Silent())
    assert list(data.tests) == ["held_out", "more"]
    assert data.tests["more"].count == 2 * 2 * 2
    again, _ = read_tests([tmp_path / "more.npz"], data.problem)
    assert again["more"].inputs["noisy"].equal(data.tests["more"].inputs["noisy"])


def test_a_file_of_fields_is_data_as_well(tmp_path):
    np.savez(tmp_path / "fields.npz", first=np.zeros((10, 8, 8)), other=np.random.default_rng(0).random((10, 8, 8)))
    data = with_data(experiment(tmp_path / "fields.npz", output_name="other"), Silent())
    assert data.train.count == 8
    with pytest.raises(DatasetError, match=r"first \(10, 8, 8\), other \(10, 8, 8\)"):
        with_data(experiment(tmp_path / "fields.npz"), Silent())


def test_unknown_settings_are_named(folder):
    with pytest.raises(UnknownOption, match=r"'patches'.*patch, channels, noise"):
        with_data(experiment(folder, problem_settings={"patches": 8}), Silent())


def test_other_learners_need_test_data_as_ever(folder):
    with pytest.raises(ConfigurationError, match="--test-data"):
        Experiment(learner="another", data=str(folder))


def test_test_images_of_another_size_are_named(folder, tmp_path):
    data = with_data(experiment(folder), Silent())
    np.savez(tmp_path / "small.npz", np.random.default_rng(0).random((2, 8, 8)))
    with pytest.raises(DatasetError, match="8×8 points, but the problem has 24×32"):
        read_tests([tmp_path / "small.npz"], data.problem)

"""Folders of images: every usual kind is read, files are kept apart, and what is wrong is named."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from pde_benchmarks.darcy import Darcy
from pde_benchmarks.datasets import generate
from pde_benchmarks.errors import DatasetError, ProblemError
from pde_benchmarks.imaging.image_denoising import ImageDenoising
from pde_benchmarks.imaging.image_files import read_fields
from pde_benchmarks.imaging.image_folder import ReadingOptions, is_image_folder, read_images
from pde_benchmarks.imaging.patches import cut_patches
from pde_benchmarks.registry import configure, describe_problem


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save_pictures(folder, count=6, shape=(20, 24), suffix="png"):
    """Pictures of which every one has a grey value of its own, to recognise it by."""
    for k in range(count):
        values = np.full(shape, 40 * k, dtype=np.uint8)
        values[..., ::2, :] += 1
        Image.fromarray(values).save(folder / f"{k}.{suffix}")


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3)], ids=["grey", "colour"])
def test_lossless_pictures_are_read_exactly(tmp_path, suffix, shape):
    values = pixels(*shape)
    Image.fromarray(values).save(tmp_path / f"picture.{suffix}")
    field = read_fields(tmp_path / f"picture.{suffix}")
    expected = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    np.testing.assert_allclose(field[0] * 255, expected, atol=1e-4)
    assert field.shape == (1, *expected.shape)
    assert field.dtype == torch.float32


def test_other_kinds_of_pictures(tmp_path):
    """JPEG nearly, 16 bits by their own range, palettes by their colours, opaque alpha dropped, floats as they are."""
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    assert abs(read_fields(tmp_path / "a.jpg")[0, 0] * 255 - torch.from_numpy(smooth)).mean() < 2
    wide = np.array([[0, 65535], [32768, 1]], dtype=np.uint16)
    Image.fromarray(wide).save(tmp_path / "b.png")
    np.testing.assert_allclose(read_fields(tmp_path / "b.png")[0, 0] * 65535, wide, rtol=1e-6)
    colour = Image.fromarray(pixels(4, 4, 3) // 128 * 255)
    colour.quantize(8).save(tmp_path / "c.png")
    np.testing.assert_allclose(read_fields(tmp_path / "c.png")[0] * 255, np.moveaxis(np.asarray(colour), -1, 0))
    colour.putalpha(255)
    colour.save(tmp_path / "d.png")
    assert read_fields(tmp_path / "d.png").shape == (1, 3, 4, 4)
    Image.fromarray(np.array([[0.5, -2.25]], dtype=np.float32)).save(tmp_path / "e.tif")
    assert read_fields(tmp_path / "e.tif").tolist() == [[[[0.5, -2.25]]]]


def test_arrays_and_stacks_are_read(tmp_path):
    colour = np.random.default_rng(0).random((9, 8, 3))
    np.save(tmp_path / "last.npy", colour)
    np.save(tmp_path / "first.npy", np.moveaxis(colour, -1, 0))
    np.save(tmp_path / "signal.npy", colour[:, 0, 0])
    assert torch.equal(read_fields(tmp_path / "last.npy"), read_fields(tmp_path / "first.npy"))
    assert read_fields(tmp_path / "signal.npy").shape == (1, 1, 9)
    stack = np.random.default_rng(0).random((5, 9, 8))
    np.savez(tmp_path / "stack.npz", fields=stack)
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["fields"], file["others"] = stack, stack + 1
    assert torch.equal(read_fields(tmp_path / "stack.npz"), torch.from_numpy(stack)[:, None])
    assert torch.equal(read_fields(tmp_path / "stack.h5", "others"), torch.from_numpy(stack + 1)[:, None])
    with pytest.raises(DatasetError, match=r"fields .* others"):
        read_fields(tmp_path / "stack.h5")


def test_the_outputs_of_a_generated_data_set_are_its_images(tmp_path):
    made = generate(Darcy(resolution=16), 6, seed=0, path=tmp_path / "made.h5")
    assert torch.equal(read_fields(tmp_path / "made.h5"), made.outputs["solution"])
    assert torch.equal(read_fields(tmp_path / "made.h5", "coefficient"), made.inputs["coefficient"])
    with pytest.raises(DatasetError, match=r"no field 'pressure'.*solution, coefficient"):
        read_fields(tmp_path / "made.h5", "pressure")


def test_training_validation_and_test_share_no_file(tmp_path):
    """Every grey value, hence every picture, is in one part only, and every one is somewhere."""
    save_pictures(tmp_path)
    sets = read_images(tmp_path, ReadingOptions(patch=8))
    parts = [
        {round(v) for v in (part.outputs["clean"][:, 0, 0, 0] * 255 / 40).tolist()}
        for part in (sets.train, sets.validation, sets.test)
    ]
    assert [len(part) for part in parts] == [4, 1, 1]
    assert set.union(*parts) == set(range(6))
    assert sets.train.count == 4 * 2 * 3
    assert "share no image" in sets.found[0]


def test_noise_has_the_level_asked_for_and_repeats(tmp_path):
    save_pictures(tmp_path, shape=(64, 64))
    sets = read_images(tmp_path, ReadingOptions(noise=0.2))
    again = read_images(tmp_path, ReadingOptions(noise=0.2))
    other = read_images(tmp_path, ReadingOptions(noise=0.2, seed=1))
    noise = sets.train.inputs["noisy"] - sets.train.outputs["clean"]
    assert abs(noise.std() - 0.2) < 0.01
    assert torch.equal(sets.train.inputs["noisy"], again.train.inputs["noisy"])
    assert not torch.equal(sets.train.inputs["noisy"], other.train.inputs["noisy"])
    assert sets.problem.noise_level == 0.2
    first, second = (part.inputs["noisy"] - part.outputs["clean"] for part in (sets.validation, sets.test))
    assert (first - second).abs().max() > 0.1  # each part has noise of its own


def test_values_in_other_units_are_brought_to_the_unit_interval(tmp_path):
    values = 300 + 50 * np.random.default_rng(0).random((10, 12, 12))
    np.savez(tmp_path / "temperatures.npz", values)
    sets = read_images(tmp_path / "temperatures.npz")
    clean = sets.train.outputs["clean"]
    assert clean.min() == 0
    assert clean.max() == 1
    problem = sets.problem
    assert 300 <= problem.low < problem.high <= 350
    assert "became 0 to 1" in sets.found[1]
    assert [part.count for part in (sets.train, sets.validation, sets.test)] == [8, 1, 1]


def test_colour_becomes_grey_when_asked(tmp_path):
    for k in range(3):
        Image.fromarray(pixels(8, 8, 3, seed=k)).save(tmp_path / f"{k}.png")
    assert read_images(tmp_path).problem.channels == 3
    grey = read_images(tmp_path, ReadingOptions(channels=1))
    assert grey.problem.channels == 1
    weights = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    colour = read_images(tmp_path).test.outputs["clean"]
    torch.testing.assert_close(grey.test.outputs["clean"][0, 0], (weights * colour[0]).sum(0))


def test_patches_tile_the_image():
    image = torch.arange(2 * 6 * 9.0).reshape(1, 2, 6, 9)
    patches = cut_patches(image, 3, "image")
    assert patches.shape == (6, 2, 3, 3)
    assert torch.equal(patches[4], image[0, :, 3:6, 3:6])
    assert cut_patches(torch.zeros(2, 1, 4, 5, 6), 2, "volume").shape == (2 * 2 * 2 * 3, 1, 2, 2, 2)


def test_image_problems_are_described_and_rebuilt():
    problem = ImageDenoising("photographs", (16, 16), channels=3, noise=0.05, low=-1.0, high=2.0)
    assert configure(ImageDenoising, describe_problem(problem)["config"]) == problem
    with pytest.raises(ProblemError, match="no law"):
        problem.sample(1, torch.Generator())


def test_a_folder_is_recognised_by_its_pictures(tmp_path):
    assert not is_image_folder(tmp_path)
    np.save(tmp_path / "x.npy", np.zeros(3))
    assert not is_image_folder(tmp_path)
    (tmp_path / "below").mkdir()
    save_pictures(tmp_path / "below", count=1)
    assert is_image_folder(tmp_path)


def _refused(path, words, **options):
    with pytest.raises(DatasetError, match=words):
        read_images(path, ReadingOptions(**options))


def test_missing_empty_and_scanty_folders(tmp_path):
    _refused(tmp_path / "nowhere", "no such file or folder")
    _refused(tmp_path, "no images in this folder")
    save_pictures(tmp_path, count=2)
    _refused(tmp_path, "2 images: at least 3")


def test_images_that_do_not_fit_are_named(tmp_path):
    save_pictures(tmp_path)
    _refused(tmp_path, r"0\.png: 20×24 points, smaller than a patch of side 32", patch=32)
    Image.fromarray(pixels(20, 24, 3)).save(tmp_path / "z.png")
    _refused(tmp_path, r"z\.png: 3 channels, but .*0\.png has 1")
    _refused(tmp_path, r"0\.png: 1 channels, 3 are asked for", channels=3)
    Image.fromarray(pixels(21, 24)).save(tmp_path / "z.png")
    _refused(tmp_path, r"z\.png: 21×24 points, but .*0\.png has 20×24: .* patches")


def test_broken_files_are_named(tmp_path):
    save_pictures(tmp_path)
    Image.fromarray(pixels(64, 64)).save(tmp_path / "3.png")
    whole = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(whole[: len(whole) // 2])
    _refused(tmp_path, r"3\.png: the picture is broken")
    (tmp_path / "3.png").write_bytes(b"this is text")
    _refused(tmp_path, r"3\.png: no picture")
    (tmp_path / "3.png").unlink()
    (tmp_path / "9.npy").write_bytes(pickle.dumps({"a": 1}))
    _refused(tmp_path, r"9\.npy: no array")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones((4, 4)) * 1j, "complex numbers"),
        (np.full((4, 4), 2**60), r"overflow.*2\^53"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.zeros((9, 9, 9)), "one field a .npy file"),
        (np.zeros((0, 4)), "holds nothing"),
    ],
    ids=["complex", "overflow", "nan", "text", "stack", "empty"],
)
def test_arrays_that_are_no_images_are_named(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DatasetError, match=rf"a\.npy.*{words}"):
        read_fields(tmp_path / "a.npy")


def test_pictures_that_say_too_much_are_named(tmp_path):
    glass = Image.fromarray(pixels(4, 4, 3))
    glass.putalpha(128)
    glass.save(tmp_path / "glass.png")
    with pytest.raises(DatasetError, match="transparent"):
        read_fields(tmp_path / "glass.png")
    pages = [Image.fromarray(pixels(4, 4, seed=k)) for k in range(3)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DatasetError, match="3 pictures"):
        read_fields(tmp_path / "pages.tif")
    Image.fromarray(pixels(4, 4, 3)).convert("CMYK").save(tmp_path / "print.jpg")
    with pytest.raises(DatasetError, match="CMYK"):
        read_fields(tmp_path / "print.jpg")
    with pytest.raises(DatasetError, match="unknown kind"):
        read_fields(tmp_path / "notes.txt")


def test_nothing_to_learn_and_bad_options_are_named(tmp_path):
    np.savez(tmp_path / "flat.npz", np.ones((5, 8, 8)))
    _refused(tmp_path / "flat.npz", "every value is 1")
    with pytest.raises(DatasetError, match="patches of side 1"):
        ReadingOptions(patch=1)
    with pytest.raises(DatasetError, match="fractions"):
        ReadingOptions(validation=0.6, test=0.5)
    np.savez(tmp_path / "some.npz", np.random.default_rng(0).random((5, 8, 8)))
    with pytest.raises(ProblemError, match="noise -1"):
        read_images(tmp_path / "some.npz", ReadingOptions(noise=-1.0))

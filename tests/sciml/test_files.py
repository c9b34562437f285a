"""A file is whole or not there, whatever interrupts the writer, and a reader's complaint is one sentence."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from sciml.errors import RunError
from sciml.files import read_json, read_metadata, read_tensors, read_text, write_json, write_tensors, write_text


def tensors():
    draw = torch.Generator().manual_seed(0)
    base = torch.randn(4, 6, generator=draw)
    return {
        "plain": base,
        "strided": base.T,
        "shared": base[1:],
        "complex": torch.complex(base, 2 * base).conj(),
        "double": torch.complex(base.double(), base.double()),
        "half": base.bfloat16(),
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 2),
    }


def test_tensors_come_back_bit_for_bit(tmp_path):
    write_tensors(tmp_path / "t.safetensors", tensors(), {"step": 7, "rows": [1.5, None]})
    found = read_tensors(tmp_path / "t.safetensors")
    assert found.keys() == tensors().keys()
    for name, value in tensors().items():
        assert found[name].dtype == value.dtype
        torch.testing.assert_close(found[name], value.resolve_conj(), rtol=0, atol=0)
    assert read_metadata(tmp_path / "t.safetensors") == {"step": 7, "rows": [1.5, None]}


def test_safetensors_of_another_program_are_read(tmp_path):
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, tmp_path / "t.safetensors")
    assert read_tensors(tmp_path / "t.safetensors")["w"].tolist() == [1, 1]
    assert read_metadata(tmp_path / "t.safetensors") == {}


@pytest.mark.parametrize("guilty", ["replace", "fsync"])
def test_a_full_disk_leaves_the_old_file_and_no_scraps(tmp_path, monkeypatch, guilty):
    path = tmp_path / "metrics.json"
    write_json(path, {"error": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, guilty, full)
    with pytest.raises(RunError, match=r"metrics\.json: the disk is full .* unharmed"):
        write_json(path, {"error": 2})
    assert read_json(path) == {"error": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunError, match=r"cannot be written \(No such file or directory\)"):
        write_text(tmp_path / "nowhere" / "a.txt", "a")


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_truncated_tensors_are_refused(tmp_path, keep):
    path = tmp_path / "t.safetensors"
    write_tensors(path, tensors())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match="not a safetensors file, or truncated"):
        read_tensors(path)


def test_broken_text_and_missing_files_are_refused(tmp_path):
    with pytest.raises(RunError, match="no such file"):
        read_json(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(RunError, match="not JSON, or truncated"):
        read_json(tmp_path / "half.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="not a text file"):
        read_text(tmp_path / "binary")
    with pytest.raises(RunError, match="cannot be read"):
        read_text(tmp_path)


def test_equal_tensors_give_equal_bytes(tmp_path):
    """Also with metadata and complex tensors, and however often it is written."""
    tensors = {"a": torch.ones(3), "b": torch.ones(2, dtype=torch.complex64)}
    contents = set()
    for index in range(8):
        write_tensors(tmp_path / f"{index}.safetensors", tensors, {"x": 1, "y": 2})
        contents.add((tmp_path / f"{index}.safetensors").read_bytes())
    assert len(contents) == 1

"""Films: GIF through Pillow, MP4 through ffmpeg where that program is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml.errors import ConfigurationError, RunError
from sciml.files import write_bytes
from solvers.files.atomic import replacing

__all__ = ["check_film", "write_film"]

_SMALLEST = 384  # pixels, to which small frames are enlarged
_PER_SECOND = 25

Images = Sequence[NDArray[np.uint8]]


def check_film(path: Path, option: str = "--video") -> None:
    """Raise unless a film of this name can be written: known ending, ffmpeg for .mp4, a folder that exists.

    Parameters
    ----------
    path
        The film.
    option
        By which it was asked for.

    Raises
    ------
    ConfigurationError
        It cannot.
    """
    if path.suffix.lower() not in (".mp4", ".gif"):
        raise ConfigurationError(f"{option} {path}: the name must end in .mp4 or .gif.")
    if path.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise ConfigurationError(f"{option} {path}: an .mp4 needs the program ffmpeg: install it, or ask for a .gif.")
    if not path.parent.is_dir():
        raise ConfigurationError(f"{option} {path}: {path.parent} is no folder: make it, or choose one.")


def write_film(path: Path, images: Images, per_second: int = _PER_SECOND) -> None:
    """Write images ``(height, width, 3)`` of one size as a film of 25 a second, enlarged to at least 384 pixels.

    Parameters
    ----------
    path
        Ends in .gif or .mp4.
    images
        The frames.
    per_second
        Frames a second.

    Raises
    ------
    RunError
        ffmpeg fails, or the disk does not take the file.
    """
    enlarged = [_enlarged(image) for image in images]
    if path.suffix.lower() == ".gif":
        write_bytes(path, _gif(enlarged, per_second))
    else:
        _mp4(path, enlarged, per_second)


def _enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Whole multiples of the pixels; even sizes, as MP4 wants them."""
    factor = max(1, -(-_SMALLEST // max(image.shape[:2])))
    if factor % 2 and any(size % 2 for size in image.shape[:2]):
        factor += 1
    return image.repeat(factor, 0).repeat(factor, 1)


def _gif(images: Images, per_second: int) -> bytes:
    from PIL import Image

    pictures = [Image.fromarray(image) for image in images]
    content, options = BytesIO(), {"save_all": True, "append_images": pictures[1:], "loop": 0}
    pictures[0].save(content, format="GIF", duration=1000 // per_second, **options)
    return content.getvalue()


def _mp4(path: Path, images: Images, per_second: int) -> None:
    height, width = images[0].shape[:2]
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(per_second), "-i", "-"]
    wanted = ["-an", "-pix_fmt", "yuv420p", "-f", "mp4"]
    with replacing(path, RunError) as temporary:
        command = ["ffmpeg", "-loglevel", "error", "-y", *given, *wanted, str(temporary)]
        pixels = b"".join(image.tobytes() for image in images)
        result: Any = subprocess.run(command, input=pixels, capture_output=True, check=False)
        if result.returncode:
            words = " ".join(result.stderr.decode(errors="replace").split())[:200] or f"exit code {result.returncode}"
            raise RunError(f"{path}: ffmpeg could not write it ({words}): ask for a .gif.")

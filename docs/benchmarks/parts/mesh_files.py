"""A mesh of a million cells written and read: time and peak memory, beside meshio and PyVista alone."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from meshes import Mesh
from parts.record import Record

__all__ = ["measure"]

#: What each process does, after its imports, with the file in `path`; a mesh to write is loaded before the clock runs.
JOBS = {
    "ours, vtu, write": "from meshes import write_mesh\nmesh = load()\nrun(lambda: write_mesh(path, mesh))",
    "ours, vtu, read": "from meshes import read_mesh\nrun(lambda: read_mesh(path))",
    "ours, container, write": "from meshes import write_meshes\nmesh = load()\nrun(lambda: write_meshes(path, [mesh]))",
    "ours, container, read": "from meshes import open_meshes\nrun(lambda: open_meshes(path)[0])",
    "meshio, vtu, write": "import meshio\nmesh = as_meshio()\nrun(lambda: mesh.write(path))",
    "meshio, vtu, read": "import meshio\nrun(lambda: meshio.read(path))",
    "PyVista, vtu, write": "import pyvista\nmesh = as_pyvista()\nrun(lambda: mesh.save(path))",
    "PyVista, vtu, read": "import pyvista\nrun(lambda: pyvista.read(path).points.sum())",
    "PyVista, our vtu, read": "import pyvista\nrun(lambda: pyvista.read(path).points.sum())",
    "ours, vtu of PyVista, read": "from meshes import read_mesh\nrun(lambda: read_mesh(path))",
}

PRELUDE = """
import json, re, sys, time
import numpy as np
source, path = sys.argv[1:]
def load():
    from meshes import Mesh
    d = np.load(source)
    return Mesh(d["points"], {"hexahedron": d["cells"]}, {"u": d["u"]}, {"k": {"hexahedron": d["k"]}})
def as_meshio():
    from meshes.interchange import to_meshio
    return to_meshio(load())
def as_pyvista():
    from meshes.interchange import to_pyvista
    return to_pyvista(load())
def memory(what):
    return int(re.search(what + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
def run(job):
    open("/proc/self/clear_refs", "w").write("5")  # Linux: the peak is counted from here
    before = memory("VmRSS")
    began = time.perf_counter()
    kept = job()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak": memory("VmHWM"), "added": memory("VmHWM") - before}))
"""


def measure(record: Record, quick: bool) -> None:
    """Each job in a process of its own, the least of three."""
    n = 10 if quick else 100
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.npz"
        mesh = _block(n)
        cells = mesh.cells["hexahedron"]
        np.savez(source, points=mesh.points, cells=cells, u=mesh.point_data["u"], k=mesh.cell_data["k"]["hexahedron"])
        for name, code in JOBS.items():
            who, kind, verb = name.split(", ")
            writer = {"our vtu": "ours", "vtu of PyVista": "PyVista"}.get(kind, who)
            path = Path(folder) / f"{writer}.{'h5' if kind == 'container' else 'vtu'}"
            runs = [_run(code, source, path) for _ in range(1 if quick else 3)]
            best = min(runs, key=lambda r: r["seconds"])
            size = path.stat().st_size / 2**20
            rows.append([who, kind, verb, best["seconds"], best["peak"], best["added"], size])
    times = {(who, kind, verb): seconds for who, kind, verb, seconds, *_ in rows}
    for verb in ("write", "read"):
        for peer in ("meshio", "PyVista"):
            ours, theirs = times["ours", "vtu", verb], times[peer, "vtu", verb]
            note = f"ours {ours:.3g} s, {peer} {theirs:.3g} s"
            record.figure(f"vtu_{verb}_over_{peer.lower()}.time", ours / theirs, timed=True, unit="1", note=note)
    record.table(
        "files",
        ["by", "format", "job", "seconds", "peak memory, MiB", "of these in the job, MiB", "file, MiB"],
        rows,
        f"{n}³ hexahedra with one point and one cell field, float64; each job in a process of its own, least of three. "
        "Peak memory counts the imports and, when writing, the mesh itself. Each reads what it wrote, unless said "
        "otherwise: meshio and PyVista compress their arrays, ours are as they are in memory.",
    )


def _run(code: str, source: Path, path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + code, str(source), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{code!r} failed: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _block(n: int) -> Mesh:
    """n³ cubes with smooth fields and random coordinates."""
    axis = np.linspace(0, 1, n + 1)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    points = points + np.random.default_rng(0).uniform(-0.2 / n, 0.2 / n, points.shape)
    first = np.arange((n + 1) ** 3).reshape((n + 1,) * 3)[:-1, :-1, :-1].reshape(-1, 1)
    a, b, c = (n + 1) ** 2, n + 1, 1
    cells = first + np.array([0, a, a + b, b, c, a + c, a + b + c, b + c])
    u = np.sin(points).prod(axis=1)
    return Mesh(points, {"hexahedron": cells}, {"u": u}, {"k": {"hexahedron": u[cells].mean(axis=1)}})

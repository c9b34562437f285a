"""The benchmark scripts run from start to end at a size of seconds, and the page says what the record says."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
OWED = {
    "darcy": [
        "mgno_data_over_fno.relative_l2", "mgno_over_fno.relative_l2", "mgno_data_over_unet.relative_l2",
        "transfer_128_over_64.relative_l2", "newcomer.seconds_after_install", "reference_solver_over_superlu_loop.time",
        "certified_over_zero_start.iterations", "error_estimate_over_true_error.median",
        "error_estimate_over_true_error.smallest",
    ],
    "solvers": [
        "cg_csr_over_scipy.time.64cubed", "cg_stencil_over_scipy.time.64cubed", "gmg_pcg_over_pyamg_solve.time.255sq",
        "gmg_pcg_over_pyamg_total.time.63cubed", "smoothed_aggregation_over_pyamg.time",
        "batched_cg_over_scipy_loop.time", "batched_cg_over_torch_sla.time", "stencil_bandwidth_over_triad",
        "gmg_pcg.iterations.63sq", "gmg_pcg.iterations.511sq", "gmg_pcg.iterations.15cubed",
        "gmg_pcg.iterations.63cubed",
    ],
    "meshes": [
        "diffusion_p1.l2_order", "diffusion_p2.l2_order", "elasticity_p1.l2_order", "elasticity_p2.l2_order",
        "batched_assembly_over_skfem_loop.time", "interpolation_linear.max_error", "interpolation_over_scipy.time",
        "embedding_20k.inverted_triangles", "harmonic_over_uniform_embedding.mesh_noise",
    ],
    "operators": [
        "darcy_rough.mgno_over_best_baseline.relative_l2", "darcy_multiscale.mgno_over_best_baseline.relative_l2",
        "helmholtz.mgno_over_best_baseline.relative_l2", "navier_stokes.mgno_over_best_baseline.relative_l2",
        "pipe.mgno_over_best_baseline.relative_l2", "burgers.mgno_over_best_baseline.relative_l2",
        "darcy_rough.scale_consistent_transfer_256_over_64.relative_l2",
        "darcy_smooth.label_free_over_supervised.relative_l2",
        "physics_inside_over_plain.relative_l2.second_best_problem",
        "physics_inside_over_classical_of_equal_prediction_time.relative_l2.best_problem",
    ],
    "dgno": [
        "multionet_over_deeponet.relative_l2", "darcy_smooth.label_free.relative_l2",
        "darcy_two_phase.label_free.relative_l2", "darcy_two_phase.label_free_90s.relative_l2",
        "inverse_two_phase.wrong_pixels.sensors100_snr25", "inverse_two_phase.centred_correlation.sensors100_snr25",
        "inverse_two_phase.coverage_90", "step_time_ratio.50_over_10_samples",
    ],
    "hard_constraints": [
        "forward_backward_over_unrolled.time", "backward_over_unrolled.memory", "layer_over_optimistix.time",
        "diffusion_sorption.hard_over_soft.relative_l2", "diffusion_sorption.error_norm_over_plain.relative_l2",
        "diffusion_sorption.best_over_discretisation_floor.relative_l2",
        "diffusion_sorption.coupled_experts_over_one_solve.relative_l2",
        "diffusion_sorption_hard.learned_over_fixed_basis.relative_l2",
        "navier_stokes.hard_over_soft.relative_l2", "navier_stokes.error_norm_over_plain.relative_l2",
        "two_processes_over_one.training_step_time",
    ],
    "poisson": [
        "learned_over_textbook_mgcg.iterations.64cubed", "learned_over_tuned_mgcg.iterations.64cubed",
        "learned_growth.iterations.32_to_128cubed", "learned_over_textbook_mgcg.condition_number.32cubed",
        "learned_over_best_classical.time.64cubed", "learned_over_best_classical.time.128cubed",
        "worst_right_hand_side_over_textbook_mgcg.iterations", "dcdm_over_cg.iterations.training_size",
        "dcdm_window32_over_iccg.iterations.training_size", "smoke_200_steps.max_divergence_over_tolerance",
    ],
    "mmgp": [
        "plate.rrmse.worst_stress", "plate.rrmse.worst_displacement", "plate.q2.worst_scalar",
        "plate.coverage_95.worst_field", "plate.foreign_shape_score_over_largest_test", "aerofoil.rrmse.worst_field",
        "blade.rrmse.worst_field",
        "mmgp_over_graph_network.rrmse", "gaussian_processes_over_sklearn_loop.time",
        "predict_one_mesh_10k_nodes.seconds",
    ],
    "faults": [
        "matrix.failing_cells", "matrix.marked_cells", "kills_survived", "lost_or_half_written",
        "fuzzed_files_with_clear_error_fraction",
    ],
    "proximal": [
        "laplace.mean_distance_to_oracle", "laplace.prior_slope_error", "laplace.prior_r2",
        "denoising.lpn_minus_plain_cnn.psnr_db", "heat_source.lpn_minus_tikhonov.psnr_db.worst_noise",
        "heat_source.lpn_minus_cnn_admm.psnr_db.worst_noise",
        "heat_source.lpn_minus_total_variation.psnr_db.highest_noise",
        "lpn_minus_total_variation.psnr_db.second_best_family", "darcy.lpn_over_tikhonov.relative_l2",
        "proximal_gradient.monotone_fraction", "training_over_plain_denoiser.time",
        "prediction_over_plain_denoiser.time",
    ],
    "neural_ode": [
        "digits.regularised_over_vanilla.evaluations", "digits.accuracy_drop_points",
        "digits.regularised_over_vanilla.training_time", "pde_first.regularised_over_vanilla.evaluations",
        "pde_second.regularised_over_vanilla.evaluations", "step_over_torchdiffeq.time",
        "van_der_pol.per_sample_over_shared.sample_steps",
    ],
}  # fmt: skip


#: Runs of a size of seconds, by benchmark; those after the first are slow.
QUICK = {
    "darcy": [("costs,solver",), ("compare,certificates,laws,published",)],
    "operators": [
        ("problems", "--cases", "burgers"),
        ("problems",),
        ("physics,transfer,labels,roll_outs",),
        ("uncertainty,preconditioner,published",),
    ],
    "dgno": [
        ("costs",),
        ("label_free,variants,inverse", "--cases", "darcy_two_phase"),
        ("far",),
        ("supervised,other_media", "--cases", "labelled_blocks"),
    ],
    "hard_constraints": [
        ("costs",),
        ("scaling,processes,rivals",),
        ("learning,beyond", "--cases", "sorption_hard"),
    ],
    "poisson": [("cavities",), ("iterations,times,certificates",), ("published",), ("smoke",)],
    "mmgp": [("times,memory",), ("regression",), ("learning", "--cases", "plate")],
    "proximal": [
        ("laplace,times",),
        ("denoising,priors",),
        ("inverse", "--cases", "heat_source,darcy"),
        ("convergence",),
    ],
    "neural_ode": [("digits,spiral,oscillators,stiff,steps",), ("surrogates",)],
}
RUNS = [
    pytest.param(name, parts, marks=[pytest.mark.slow] if number else [], id=f"{name}-{'-'.join(parts)}")
    for name, runs in QUICK.items()
    for number, parts in enumerate(runs)
]


@pytest.mark.parametrize(("name", "parts"), RUNS)
def test_the_quick_benchmark_runs_and_leaves_the_committed_record_alone(name, parts, tmp_path):
    check_quick(name, "--work", str(tmp_path), "--only", *parts)


@pytest.mark.parametrize("part", ["kills", pytest.param("fuzz,matrix", marks=pytest.mark.slow)])
def test_quick_faults_run_and_leave_the_committed_record_alone(part):
    check_quick("faults", "--only", part)


@pytest.mark.parametrize("name", ["solvers", "meshes"])
def test_other_quick_benchmarks_run_and_leave_the_committed_record_alone(name):
    check_quick(name)


def check_quick(name, *options):
    record = BENCHMARKS / f"{name}.json"
    before = record.read_bytes()
    command = [sys.executable, BENCHMARKS / f"{name}.py", "--quick", *options]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert f"{name}.md written" in answer.stdout
    assert record.read_bytes() == before


@pytest.mark.parametrize(("benchmark", "name"), [(b, name) for b, names in OWED.items() for name in names])
def test_every_figure_owed_is_recorded_with_its_bar(benchmark, name):
    record = json.loads((BENCHMARKS / f"{benchmark}.json").read_text(encoding="utf-8"))
    entry = record["figures"][name]
    assert "bar" in entry
    assert entry["value"] is not None or entry["reason"]


@pytest.mark.parametrize(
    ("benchmark", "page"),
    [
        ("darcy", "darcy_page"),
        ("solvers", "solver_page"),
        ("meshes", "mesh_page"),
        ("operators", "operator_page"),
        ("dgno", "dgno_page"),
        ("hard_constraints", "hard_constraint_page"),
        ("poisson", "poisson_page"),
        ("mmgp", "mmgp_page"),
        ("proximal", "proximal_page"),
        ("faults", "faults_page"),
        ("neural_ode", "neural_ode_page"),
    ],
)
def test_the_page_is_rendered_from_the_record(benchmark, page, monkeypatch):
    # Last on the path: the script `solvers.py` must not stand in for the package.
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS)])
    render = importlib.import_module(f"parts.{page}").render
    record = json.loads((BENCHMARKS / f"{benchmark}.json").read_text(encoding="utf-8"))
    assert (BENCHMARKS / f"{benchmark}.md").read_text(encoding="utf-8") == render(record)

"""The judge alone, on records written by hand: precedence, NaN, decoration, margins, `when`."""

import copy

import pytest

from harness.judging.cause import Cause
from harness.judging.judge import judge
from harness.judging.limits import parse
from harness.judging.verdict import ORDER, Verdict

U32 = 2.0**-24


def row(case=0, error=0.0, **extra):
    """One float32 row of 100 elements with rms error and rms reference 1."""
    base = {"case": case, "pair": "y", "dtype": "float32", "n": 100, "ref_sq": 100.0}
    return {**base, "err_sq": 100 * error**2, "err_max": error, "at": [0], "got": 1.0, "want": 1.0, **extra}


def subject(*rows, **extra):
    return {"status": "ran", "reason": "", "rows": list(rows), "scalars": [], "faults": [], **extra}


def record(candidate=None, baseline=None, mutants=None, platform="cpu"):
    return {
        "platform": platform,
        "cases": [{"index": 0, "seed": 1, "dtype": "float32", "params": {"std": 1.0}}],
        "subjects": {
            "candidate": candidate or subject(row(error=U32)),
            "baseline": baseline or subject(row(error=U32)),
        },
        "mutants": mutants if mutants is not None else {"wrong": subject(row(error=1.0))},
    }


CLAIM = {"accept": {"err_ratio": {"le": 2.0, "why": "w"}}, "discharges_on": ["cuda"], "mutants": ["wrong"]}


def verdict(rec, **fields):
    found = judge({**CLAIM, **fields}, rec)
    return found.verdict, found.reason


def test_partial_on_another_platform_discharged_on_the_named_one():
    assert verdict(record())[0] is Verdict.PARTIAL
    assert verdict(record(platform="cuda"))[0] is Verdict.DISCHARGED


def test_the_judge_is_pure():
    rec = record()
    before = copy.deepcopy(rec)
    assert judge(CLAIM, rec) == judge(CLAIM, rec)
    assert rec == before


def test_precedence():
    wrong = subject(row(error=1.0))
    assert verdict({**record(), "error": "boom"}) == (Verdict.ERROR, "boom")
    assert verdict(record(candidate=wrong, baseline=wrong))[0] is Verdict.UNSOUND
    assert verdict(record(candidate=wrong, mutants={"wrong": subject(row())}))[0] is Verdict.FALSIFIED
    assert verdict(record(mutants={"wrong": subject(row())}))[0] is Verdict.VACUOUS
    assert [v.value for v in ORDER] == (
        ["ERROR", "UNSOUND", "FALSIFIED", "VACUOUS", "BLOCKED", "UNVERIFIED", "STALE", "PARTIAL", "DISCHARGED"]
    )


@pytest.mark.parametrize("key", ["err_sq", "ref_sq", "err_max"])
def test_nan_in_a_row_never_passes(key):
    limits = {"err_ratio": {"le": 2.0, "why": "w"}, "max_abs_err": {"le": 2.0, "why": "w"}}
    mutants = {"wrong": subject(row(error=10.0))}
    assert verdict(record(mutants=mutants), accept=limits)[0] is Verdict.PARTIAL
    found = verdict(record(candidate=subject(row(error=U32, **{key: "nan"})), mutants=mutants), accept=limits)
    assert found[0] is Verdict.FALSIFIED


def test_a_candidate_without_rows_does_not_pass():
    assert verdict(record(candidate=subject()))[0] is Verdict.FALSIFIED


def test_a_scalar_that_was_not_measured_does_not_pass():
    limits = {"val_loss": {"lt": 7.6, "gt": 0.01, "why": "w"}}
    mutants = {
        "high": subject(scalars=[{"case": 0, "name": "val_loss", "value": 9.0}]),
        "low": subject(scalars=[{"case": 0, "name": "val_loss", "value": 0.001}]),
    }
    seen = subject(scalars=[{"case": 0, "name": "val_loss", "value": 5.0}])
    rec = record(candidate=seen, baseline=seen, mutants=mutants)
    claim = {"accept": limits, "mutants": ["high", "low"]}
    assert verdict(rec, **claim)[0] is Verdict.PARTIAL
    assert verdict({**rec, "subjects": {**rec["subjects"], "candidate": subject()}}, **claim)[0] is Verdict.FALSIFIED
    nan = subject(scalars=[{"case": 0, "name": "val_loss", "value": "nan"}])
    assert verdict({**rec, "subjects": {**rec["subjects"], "candidate": nan}}, **claim)[0] is Verdict.FALSIFIED
    assert verdict({**rec, "mutants": {"high": mutants["high"]}}, accept=limits, mutants=["high"]) == (
        Verdict.VACUOUS,
        "limit val_loss gt 0.01 killed no mutant, so nothing shows that it can fail",
    )


def test_a_limit_may_refer_to_another_measurement():
    def run(loss):
        values = [{"case": 0, "name": "loss", "value": loss}, {"case": 0, "name": "ln_vocab", "value": 7.62}]
        return subject(scalars=values)

    limits = {"loss": {"lt": "ln_vocab", "why": "w"}}
    rec = record(candidate=run(5.0), baseline=run(5.0), mutants={"wrong": run(8.0)})
    assert verdict(rec, accept=limits)[0] is Verdict.PARTIAL
    assert verdict(record(candidate=run(7.7), baseline=run(5.0), mutants={"wrong": run(8.0)}), accept=limits)[0] is (
        Verdict.FALSIFIED
    )


def test_a_baseline_far_from_the_reference_is_unsound_whatever_the_ratio():
    far = subject(row(error=65 * U32))
    assert verdict(record(candidate=far, baseline=far)) == (
        Verdict.UNSOUND,
        "the baseline itself violates baseline_err le 3.8147e-06 [float32]: baseline_err = 3.87e-06 in float32",
    )
    own = {"err_ratio": {"le": 2.0, "why": "w"}, "baseline_err": {"le": 1e-3, "why": "w"}}
    assert "UNSOUND" not in verdict(record(candidate=far, baseline=far), accept=own)


def test_a_mutant_that_crashes_is_not_killed():
    crashed = {"status": "crashed", "reason": "ImportError: no x", "rows": [], "scalars": [], "faults": []}
    found = verdict(record(mutants={"wrong": subject(row(error=1.0)), "other": crashed}))
    assert found == (Verdict.VACUOUS, "mutant other survived (it did not run: ImportError: no x)")


def test_a_mutant_whose_device_is_absent_leaves_the_claim_partial():
    absent = {"status": "not_run", "reason": "needs cuda", "rows": [], "scalars": [], "faults": []}
    rec = record(mutants={"wrong": subject(row(error=1.0)), "tf32": absent}, platform="cuda")
    assert verdict(rec) == (Verdict.PARTIAL, "survived on cuda; mutants not run here: tf32")
    assert verdict(record(mutants={"tf32": absent})) == (Verdict.VACUOUS, "no mutant ran")


def test_no_mutants_at_all_is_vacuous():
    assert verdict(record(mutants={}))[0] is Verdict.VACUOUS


def test_a_named_mutant_of_which_the_record_says_nothing_is_vacuous():
    found = verdict(record(), mutants=["wrong", "skips_eps"])
    assert found == (Verdict.VACUOUS, "the record says nothing of mutant skips_eps, which the claim names")


def test_a_case_that_compared_nothing_does_not_hide_behind_the_others():
    two = [{"index": i, "seed": 1, "dtype": "float32", "params": {"std": 1.0}} for i in (0, 1)]
    whole = subject(row(0, error=U32), row(1, error=U32))
    wrong = {"wrong": subject(row(0, error=1.0), row(1, error=1.0))}
    assert verdict({**record(whole, whole, wrong), "cases": two})[0] is Verdict.PARTIAL
    half = {**record(subject(row(0, error=U32)), whole, wrong), "cases": two}
    assert verdict(half)[0] is Verdict.FALSIFIED
    assert judge(CLAIM, half).violated[0]["case"] == 1


def test_a_limit_that_only_a_derived_output_violates_is_decoration():
    limits = {"err_ratio": {"le": 2.0, "why": "w"}, "max_abs_err": {"le": 5.0, "why": "w"}}
    mutants = {"wrong": subject(row(error=1.0)), "zeros": subject(row(error=100.0), free=True)}
    assert verdict(record(mutants=mutants), accept=limits)[1] == (
        "limit max_abs_err le 5 killed no mutant, so nothing shows that it can fail"
    )
    exempt = {"accept": limits, "mutants": [], "mutants_exempt": "opaque"}
    assert verdict(record(mutants={"zeros": mutants["zeros"]}), **exempt)[0] is Verdict.PARTIAL


def test_a_kill_by_an_implicit_limit_says_nothing_of_the_written_ones():
    nan = subject(row(error=1.0, nonfinite=3, err_sq="nan", err_max="nan"))
    found = judge(CLAIM, record(mutants={"wrong": nan}))
    assert found.mutants[0]["by"] == "finite (`y`: 3 not finite)"
    assert (found.verdict, found.reason) == (
        Verdict.VACUOUS,
        "limit err_ratio le 2 killed no mutant, so nothing shows that it can fail",
    )


def test_a_thin_margin_is_called_weak():
    found = judge(CLAIM, record(mutants={"wrong": subject(row(error=5 * U32))}))
    assert found.verdict is Verdict.PARTIAL
    assert found.mutants[0]["margin"] == pytest.approx(2.0, rel=0.05)
    assert "weak: wrong killed by less than 10x" in found.reason


def test_a_limit_judges_only_the_cases_it_selects():
    limits = {"max_abs_err": {"le": 0.1, "when": {"std": 2.0}, "why": "w"}, "err_ratio": {"le": 2.0, "why": "w"}}
    assert (
        verdict(record(), accept=limits)[1]
        == "limit max_abs_err le 0.1 [std=2] killed no mutant, so nothing shows that it can fail"
    )
    limits["max_abs_err"]["when"] = {"std": [1.0, 2.0], "dtype": "float32"}
    assert verdict(record(), accept=limits)[0] is Verdict.PARTIAL


def test_any_of_holds_with_one_and_kills_with_all():
    limits = {"any_of": [{"max_abs_err": {"le": 1e-9, "why": "w"}}, {"err_ratio": {"le": 2.0, "why": "w"}}]}
    found = judge({**CLAIM, "accept": limits}, record())
    assert found.verdict is Verdict.PARTIAL
    assert found.mutants[0]["by"] == "any_of(max_abs_err le 1e-09, err_ratio le 2)"
    assert verdict(record(candidate=subject(row(error=1.0))), accept=limits)[0] is Verdict.FALSIFIED


def test_all_of_inside_any_of():
    both = {"max_abs_err": {"le": 1.0, "why": "w"}, "err_ratio": {"le": 2.0, "why": "w"}}
    limits = {"any_of": [{"all_of": [both]}]}
    assert len(parse(limits)) == 1
    assert verdict(record(), accept=limits)[0] is Verdict.PARTIAL
    assert verdict(record(candidate=subject(row(error=1e-3))), accept=limits)[0] is Verdict.FALSIFIED


def test_both_sides_of_a_limit_are_two_limits():
    assert [limit.label for limit in parse({"cosine": {"gt": 0.5, "le": 1.0, "why": "w"}})] == [
        "cosine le 1",
        "cosine gt 0.5",
    ]


def test_each_dtype_is_pooled_alone():
    rec = record()
    rec["cases"].append({"index": 1, "seed": 2, "dtype": "bfloat16", "params": {}})
    good, bad = row(error=U32), {**row(1, error=0.1), "dtype": "bfloat16"}
    fine = {**row(1, error=2.0**-9), "dtype": "bfloat16"}
    rec["subjects"] = {"candidate": subject(good, bad), "baseline": subject(good, fine)}
    rec["mutants"] = {"wrong": subject(row(error=1.0), {**row(1, error=1.0), "dtype": "bfloat16"})}
    found = judge(CLAIM, rec)
    assert [(v["dtype"], v["limit"]) for v in found.violated] == [("bfloat16", "err_ratio le 2")]


def test_the_default_of_a_map_is_for_the_dtypes_it_does_not_name():
    rec = record()
    limits = {"err_ratio": {"le": {"float32": 2.0, "default": 1e-9}, "why": "w"}}
    assert verdict(rec, accept=limits)[1] == (
        "limit err_ratio le 1e-09 [not float32] killed no mutant, so nothing shows that it can fail"
    )
    rec["cases"][0]["dtype"] = "bfloat16"
    for held in (*rec["subjects"].values(), *rec["mutants"].values()):
        held["rows"][0]["dtype"] = "bfloat16"
    limits = {"err_ratio": {"le": {"float32": 1e-9, "default": 2.0}, "why": "w"}}
    found = judge({**CLAIM, "accept": limits}, rec)
    assert found.mutants[0]["by"] == "err_ratio le 2 [not float32]"


def test_a_limit_may_be_for_one_device():
    limits = {"err_ratio": {"le": 2.0, "when": {"device": "cuda"}, "why": "w"}, "max_abs_err": {"le": 0.1, "why": "w"}}
    assert verdict(record(), accept=limits)[0] is Verdict.VACUOUS
    assert verdict(record(platform="cuda"), accept=limits)[0] is Verdict.DISCHARGED


def test_a_mutant_that_does_not_apply_counts_neither_way():
    none = {"status": "inapplicable", "reason": "no biases", "rows": [], "scalars": [], "faults": [], "skipped": [0]}
    assert verdict(record(mutants={"wrong": subject(row(error=1.0)), "bias": none}))[0] is Verdict.PARTIAL
    assert verdict(record(mutants={"bias": none})) == (Verdict.VACUOUS, "no mutant ran")


def test_a_case_that_a_mutant_skips_is_no_kill():
    rec = record(mutants={"wrong": subject(scalars=[{"case": 1, "name": "loss", "value": 5.0}], skipped=[0])})
    rec["cases"].append({"index": 1, "seed": 2, "dtype": "float32", "params": {}})
    seen = subject(scalars=[{"case": i, "name": "loss", "value": 5.0} for i in (0, 1)])
    rec["subjects"] = {"candidate": seen, "baseline": seen}
    limits = {"loss": {"lt": 6.0, "gt": 0.1, "why": "w"}}
    assert verdict(rec, accept=limits) == (Verdict.VACUOUS, "mutant wrong survived")


def test_a_limit_on_the_baseline_needs_no_mutant():
    own = {"err_ratio": {"le": 2.0, "why": "w"}, "baseline_err": {"le": 1e-3, "why": "w"}}
    assert verdict(record(), accept=own)[0] is Verdict.PARTIAL
    tight = {**own, "baseline_err": {"le": 1e-9, "why": "w"}}
    assert verdict(record(), accept=tight)[0] is Verdict.UNSOUND


@pytest.mark.parametrize("on", [["cuda"], ["cpu", "cuda"], ["rehearsal"], None])
def test_a_rehearsal_never_discharges(on):
    claim = {**CLAIM, "discharges_on": on} if on else {k: v for k, v in CLAIM.items() if k != "discharges_on"}
    found = judge(claim, record(platform="rehearsal"))
    assert (found.verdict, found.cause) == (Verdict.PARTIAL, Cause.OTHER_PLATFORM)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "mps", "xpu", "hpu"])
def test_by_default_any_other_platform_discharges(platform):
    claim = {key: value for key, value in CLAIM.items() if key != "discharges_on"}
    assert judge(claim, record(platform=platform)).verdict is Verdict.DISCHARGED

"""The chain of whys and the root-cause class: decided by fields, never by the words of a reason."""

from harness.judging.cause import root_cause_class
from harness.report.why import root_cause, whys


def test_what_the_machine_decided_is_called_so():
    masked = {"verdict": "UNVERIFIED", "reason": "no CUDA device", "cause": "device_missing"}
    masked["root_cause_class"] = root_cause_class("device_missing")
    assert root_cause(masked) == "infrastructure masking: no CUDA device"
    assert whys(masked, None)[-1] == "The device asked for was not there: no CUDA device."


def test_the_words_of_a_reason_make_no_class():
    """The reason speaks of memory, seconds, signals and packages; that it was raised says whose fault it is not."""
    reason = "KV memory bank has 3 rows, killed by signal after 9 seconds; `peft` is not installed"
    for verdict, cause in (("ERROR", "raised"), ("UNVERIFIED", "capability_missing")):
        result = {"verdict": verdict, "reason": reason, "cause": cause, "root_cause_class": root_cause_class(cause)}
        assert root_cause(result) is None
        assert whys(result, None) == [f"{verdict}: {reason}."]

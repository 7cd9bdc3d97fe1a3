"""What each verdict means, in a sentence; light, so that `explain` and every page can say it."""

MEANING = {
    "ERROR": "The falsifier could not finish, so nothing is known; the traceback is in log.txt.",
    "UNSOUND": "The trusted baseline breaks the claim's own limit: falsifier or limit is wrong, not the candidate.",
    "FALSIFIED": "The candidate broke a limit that the baseline keeps. The smallest failing case is saved.",
    "VACUOUS": "The candidate passed, but so did something known to be wrong: this pass means nothing.",
    "BLOCKED": "The claim survived, but a contract that it rests on is red.",
    "UNVERIFIED": "It did not run. Nothing is known, and it counts as nothing.",
    "STALE": "The evidence belongs to another contract, code or candidate than the one at hand.",
    "PARTIAL": "The candidate survived and every mutant died, but not on the platform that discharges the claim.",
    "DISCHARGED": "The candidate survived, every mutant died, on a platform that the contract accepts.",
}

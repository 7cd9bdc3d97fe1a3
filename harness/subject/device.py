"""Names of devices: `cpu`, `cuda`, `cuda:1`, `rehearsal`."""

HOST = "cpu"
REHEARSAL = "rehearsal"
"""The device of `harness/subject/rehearsal`."""


def platform(device: str) -> str:
    """`cuda:0` -> `cuda`."""
    return device.partition(":")[0]


def place(device: str, needed: str | None) -> str:
    """The device of one claim in a run on `device`: the rehearsal device where a claim needs more than the CPU."""
    return REHEARSAL if needed and platform(device) == HOST else device


def register(device: str) -> None:
    """Make a device of our own known to torch in this process; torch knows all others."""
    if platform(device) == REHEARSAL:
        from harness.subject import rehearsal

        rehearsal.start()

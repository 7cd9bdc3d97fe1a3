"""Names of devices: `cpu`, `cuda`, `cuda:1`."""


def platform(device: str) -> str:
    """`cuda:0` -> `cuda`."""
    return device.partition(":")[0]

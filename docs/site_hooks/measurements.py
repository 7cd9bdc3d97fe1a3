"""placeholder"""


def page() -> str:
    return "# Measurements\n"

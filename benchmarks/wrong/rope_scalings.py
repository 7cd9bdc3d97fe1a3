"""Rotary embedding with scaled frequencies, wrong in one place each."""

from wrong.rope import turned_at
from wrong.turning import frequencies, llama3, mscale, turn, yarn_factor
from wrong.version import Version


def attention_factor_once_more(wrong, x, positions, **options):
    """YaRN's explicit attention_factor is multiplied by 0.1 ln s + 1."""

    def rates(size, theta, scaling):
        speed, factor = frequencies(size, theta, scaling)
        explicit = (scaling or {}).get("attention_factor") is not None
        return speed, factor * mscale(scaling["factor"]) if wrong and explicit else factor

    return turn(x, positions, rates=rates, **options)


def attention_factor_is_ignored(wrong, x, positions, **options):
    """YaRN's factor is always 0.1 ln s + 1, an explicit attention_factor is not read."""

    def rates(size, theta, scaling):
        speed, factor = frequencies(size, theta, scaling)
        return speed, mscale(scaling["factor"]) if wrong and (scaling or {}).get("attention_factor") else factor

    return turn(x, positions, rates=rates, **options)


def mscale_is_ignored(wrong, x, positions, **options):
    """YaRN's mscale and mscale_all_dim are not read."""

    def rates(size, theta, scaling):
        speed, factor = frequencies(size, theta, scaling)
        if wrong and (scaling or {}).get("rope_type") == "yarn":
            factor = yarn_factor({**scaling, "mscale": None})
        return speed, factor

    return turn(x, positions, rates=rates, **options)


def llama3_blends_with_factors_swapped(wrong, x, positions, **options):
    """Llama 3's low and high frequency factors change places in the blend."""

    def rates(size, theta, scaling):
        speed, factor = frequencies(size, theta, scaling)
        if not wrong or (scaling or {}).get("rope_type") != "llama3":
            return speed, factor
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        swapped = {**scaling, "low_freq_factor": high, "high_freq_factor": low}
        return llama3(frequencies(size, theta, None)[0], swapped), factor

    return turn(x, positions, rates=rates, **options)


def linear_factor_multiplies(wrong, x, positions, **options):
    """Linear scaling multiplies the position by the factor instead of dividing it."""

    def rates(size, theta, scaling):
        speed, factor = frequencies(size, theta, scaling)
        linear = wrong and (scaling or {}).get("rope_type") == "linear"
        return speed * scaling["factor"] ** 2 if linear else speed, factor

    return turn(x, positions, rates=rates, **options)


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
LLAMA3 = {
    **{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "original_max_position_embeddings": 8192,
}


VERSIONS = (
    Version(
        attention_factor_once_more,
        "rope",
        turned_at([5, 6], scaling={**YARN, "attention_factor": 1.3}),
        "given: sgl-project/sglang#33558",
        rare="one option",
    ),
    Version(
        attention_factor_is_ignored,
        "rope",
        turned_at([5, 6], scaling={**YARN, "attention_factor": 1.3}),
        "ml-explore/mlx-lm#1507",
        rare="one option",
    ),
    Version(
        mscale_is_ignored,
        "rope",
        turned_at([5, 6], scaling={**YARN, "mscale": 1.0, "mscale_all_dim": 0.7}),
        "sgl-project/sglang#22711",
        rare="one option",
    ),
    Version(
        llama3_blends_with_factors_swapped,
        "rope",
        turned_at([500, 600], size=64, theta=500000.0, scaling=LLAMA3),
        "Synthetic: two numbers side by side in a config",
    ),
    Version(
        linear_factor_multiplies,
        "rope",
        turned_at([5, 6], scaling={"rope_type": "linear", "factor": 4.0}),
        "Synthetic: one library divides positions by the factor, another multiplies by its inverse",
    ),
)

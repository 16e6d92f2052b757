"""What a failed step is explained with. The outputs are real ones, shortened."""

import pytest

from course_lib.install import trouble


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        (
            "error: Request failed after 3 retries\n  Caused by: Failed to fetch: `https://pypi.org/simple/torch/`\n"
            "  Caused by: dns error: failed to lookup address information: Name or service not known",
            trouble.NO_NETWORK,
        ),
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(\"Failed to "
            "establish a new connection: [Errno -3] Temporary failure in name resolution\")': /simple/uv/\n"
            "ERROR: No matching distribution found for uv>=0.8",
            trouble.NO_NETWORK,
        ),
        (
            "error: Failed to extract archive\n  Caused by: No space left on device (os error 28)",
            trouble.NO_SPACE,
        ),
        ("error: failed to fetch\n  Caused by: os error 28", trouble.NO_SPACE),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left", trouble.NO_SPACE),
        ("There is not enough space on the disk. (os error 112)", trouble.NO_SPACE),
        ("Failed to fetch: invalid peer certificate: UnknownIssuer", trouble.CERTIFICATE),
        (
            "  x No solution found when resolving dependencies:\n  `-> Because torch==2.13.0 has no "
            "wheels with a matching Python ABI tag (e.g., `cp315`) torch==2.13.0 cannot be used.",
            trouble.NO_WHEEL,
        ),
        (
            "  x No solution found when resolving dependencies:\n  `-> Because there is no version of "
            "torch==2.13.0 and you require torch==2.13.0, your requirements are unsatisfiable.",
            trouble.NO_BUILD,
        ),
        ("ImportError: DLL load failed while importing _C", trouble.DLL),
        ("OSError: [WinError 126] The specified module could not be found", trouble.DLL),
        ("error: failed to remove file `x.pyd`: Access is denied. (os error 5)", trouble.NO_PERMISSION),
    ],
)
def test_known_troubles(output, advice):
    assert trouble.explain(output) == advice


def test_an_unknown_trouble_still_says_what_to_do():
    said = trouble.explain("segmentation fault")
    assert "Run the same command again" in said
    assert said not in [advice for _, advice in trouble.SIGNS]


def test_a_nearly_full_disk_explains_what_nothing_else_does():
    assert "Only 100 MB are left" in trouble.explain("no module named torch._C", 100 * 2**20)
    assert trouble.explain("dns error", 100 * 2**20) == trouble.NO_NETWORK
    assert trouble.explain("segmentation fault", 2**32) == trouble.explain("segmentation fault")


def test_error_numbers_are_not_found_inside_longer_ones():
    assert trouble.explain("os error 281") != trouble.NO_SPACE

"""The commands chosen for every kind of machine. Nothing is run here: the plan is a pure function."""

from __future__ import annotations

import pytest

from course_lib.install.machine import Machine
from course_lib.install.plan import local_torch, make_plan, pip_settings, uv_environment
from course_lib.install.trouble import Trouble

LINUX = Machine("Linux", "x86_64", (3, 12))
LINUX_GPU = Machine("Linux", "x86_64", (3, 12), gpu=True)
LINUX_ARM = Machine("Linux", "aarch64", (3, 12))
WINDOWS = Machine("Windows", "AMD64", (3, 12))
WINDOWS_GPU = Machine("Windows", "AMD64", (3, 12), gpu=True)
MAC = Machine("Darwin", "arm64", (3, 12))
UV = ("uv", "pip", "install", "--python", "py")
LOCK = ("-c", "constraints.lock")


def commands(machine, extras=(), settings=None, environ=None, **more):
    settings = settings or {}
    steps = make_plan(
        machine, "2.13.0", extras, settings, python="py", uv="uv", environ=environ or {}, **more
    )
    return [step.command for step in steps]


@pytest.mark.parametrize(
    ("machine", "torch"),
    [
        (LINUX, ("torch==2.13.0", "--torch-backend", "cpu")),
        (LINUX_ARM, ("torch==2.13.0", "--torch-backend", "cpu")),
        (LINUX_GPU, ("torch==2.13.0", "--torch-backend", "auto")),
        (WINDOWS, ("torch==2.13.0", "--torch-backend", "cpu")),
        (WINDOWS_GPU, ("torch==2.13.0", "--torch-backend", "auto")),
        (MAC, ("torch==2.13.0",)),
    ],
    ids=lambda value: f"{value.system}-{value.arch}-gpu{value.gpu}" if isinstance(value, Machine) else "",
)
def test_torch_comes_first_with_the_build_for_the_machine(machine, torch):
    first, second, check = commands(machine)
    assert first == (*UV, *torch, *LOCK)
    assert second == (*UV, "-e", ".", *LOCK)
    assert check[:2] == ("py", "-c")
    assert "import torch" in check[2]


@pytest.mark.parametrize("machine", [LINUX, LINUX_GPU, WINDOWS, MAC])
def test_the_lock_is_only_ever_a_constraint(machine):
    for command in commands(machine, ("test", "grade")):
        assert not {"-r", "--requirement", "--requirements"} & set(command)
        assert "constraints.lock" not in command or command[command.index("constraints.lock") - 1] == "-c"


def test_extras_are_asked_for_in_the_second_step_only():
    first, second, _ = commands(LINUX, ("test", "grade"))
    assert second == (*UV, "-e", ".[grade,test]", *LOCK)
    assert not any("grade" in word for word in first)


def test_the_reader_can_choose_the_backend():
    assert commands(LINUX_GPU, backend="cpu")[0] == (*UV, "torch==2.13.0", "--torch-backend", "cpu", *LOCK)


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (Machine("Darwin", "x86_64", (3, 12)), "Intel processor"),
        (Machine("Darwin", "x86_64", (3, 12), rosetta=True), "Rosetta"),
        (Machine("Windows", "x86", (3, 12), bits=32), "64-bit"),
    ],
)
def test_a_machine_without_torch_gets_a_clear_error(machine, said):
    with pytest.raises(Trouble, match=said) as caught:
        commands(machine)
    assert "Install" in str(caught.value) or "Use" in str(caught.value)


# --- pip's settings -----------------------------------------------------------------------------------


def test_pip_settings_are_read_with_pips_own_precedence():
    listing = "\n".join(
        [
            "global.find-links='/global'",
            "install.find-links='/install'",
            ":env:.find-links='/env'",
            "global.index-url='https://global/simple'",
            "install.index-url='https://install/simple'",
            "global.cert='/certs/it\\'s.pem'",
            "freeze.timeout='10'",
            "a warning that is no setting",
        ]
    )
    assert pip_settings(listing) == {
        "find-links": "/env",
        "index-url": "https://install/simple",
        "cert": "/certs/it's.pem",
    }
    assert pip_settings("install.cert='a'\nglobal.cert='b'") == {"cert": "a"}


def test_pip_settings_become_options_of_uv_in_both_steps():
    settings = {
        "index-url": "https://mirror/simple",
        "extra-index-url": "https://one/simple https://two/simple",
        "find-links": "/wheels",
        "trusted-host": "mirror",
    }
    options = (
        *("--default-index", "https://mirror/simple"),
        *("--index", "https://one/simple", "--index", "https://two/simple"),
        *("--find-links", "/wheels", "--allow-insecure-host", "mirror"),
        *("--index-strategy", "unsafe-best-match"),
    )
    first, second, _ = commands(LINUX, settings=settings)
    assert first[-len(options) :] == options
    assert second[-len(options) :] == options


def test_no_index_is_honoured_only_when_it_is_on():
    assert "--no-index" in commands(LINUX, settings={"no-index": "true"})[1]
    assert "--no-index" not in commands(LINUX, settings={"no-index": "0"})[1]


def test_certificates_and_proxy_reach_uv(tmp_path):
    settings = {"cert": "/c.pem", "proxy": "http://p:1", "client-cert": "/me.pem"}
    assert uv_environment(settings, {}) == {
        "SSL_CERT_FILE": "/c.pem",
        "ALL_PROXY": "http://p:1",
        "SSL_CLIENT_CERT": "/me.pem",
    }
    assert uv_environment({"cert": str(tmp_path)}, {}) == {"SSL_CERT_DIR": str(tmp_path)}
    assert uv_environment(settings, {"SSL_CERT_FILE": "/own.pem"})["ALL_PROXY"] == "http://p:1"
    assert "SSL_CERT_FILE" not in uv_environment(settings, {"SSL_CERT_FILE": "/own.pem"})
    assert uv_environment({}, {"REQUESTS_CA_BUNDLE": "/r.pem"}) == {"SSL_CERT_FILE": "/r.pem"}
    steps = make_plan(LINUX, "2.13.0", (), settings, python="py", uv="uv", environ={})
    assert [step.environment.get("SSL_CERT_FILE") for step in steps] == ["/c.pem", "/c.pem", None]


# --- a folder of wheels -------------------------------------------------------------------------------

CPU = "torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl"
CUDA = "torch-2.13.0+cu128-cp312-cp312-manylinux_2_28_x86_64.whl"
PLAIN = "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl"
WIN = "torch-2.13.0+cpu-cp312-cp312-win_amd64.whl"
APPLE = "torch-2.13.0-cp312-none-macosx_14_0_arm64.whl"


@pytest.mark.parametrize(
    ("machine", "wheels", "chosen"),
    [
        (LINUX, [CPU], "2.13.0+cpu"),
        (LINUX, [CPU, CUDA], "2.13.0+cpu"),
        (LINUX_GPU, [CPU, CUDA], "2.13.0+cu128"),
        (LINUX_GPU, [CPU], "2.13.0+cpu"),
        (LINUX, [CUDA], None),
        (LINUX, [PLAIN], None),
        (LINUX, [WIN], None),
        (LINUX_ARM, [CPU], None),
        (WINDOWS, [WIN, CPU], "2.13.0+cpu"),
        (MAC, [APPLE, CPU], "2.13.0"),
        (Machine("Linux", "x86_64", (3, 11)), [CPU], None),
        (LINUX, ["torch-2.14.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl"], None),
        (LINUX, ["torchvision-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl"], None),
        (LINUX, [], None),
    ],
)
def test_a_local_wheel_is_taken_when_it_fits(machine, wheels, chosen, tmp_path):
    for wheel in wheels:
        (tmp_path / wheel).touch()
    settings = {"find-links": f"https://example.org/wheels {tmp_path}"}
    assert local_torch(machine, "2.13.0", settings) == chosen
    assert local_torch(machine, "2.13.0", {"find-links": tmp_path.as_uri()}) == chosen
    first = commands(machine, settings=settings)[0]
    if chosen:
        assert f"torch=={chosen}" in first
        assert "--torch-backend" not in first
    elif machine.system != "Darwin":
        assert first[len(UV) :][:2] == ("torch==2.13.0", "--torch-backend")

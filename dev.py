#!/usr/bin/env python3
"""The two set-up commands. Standard library only; works on Linux, macOS and Windows.

    python3 dev.py demo    one Img Open request turned into pictures, in the process and over HTTP
    python3 dev.py test    everything that can be checked on this machine

Each makes the environment `.venv` beside this file on first use and brings it up to date when
`pyproject.toml` or this file has changed. Nothing outside this folder is touched.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"

# torch is pinned here alone. diffusers and transformers are a pair that is known to work together;
# torchvision is left out on purpose: the CPU build of torch and the registry's CUDA build of
# torchvision do not load together, and nothing here needs it.
TORCH = "torch==2.13.0"
STANDALONE = [TORCH, "diffusers==0.42.1", "transformers>=5,<6", "-e", ".[standalone]"]
DEVELOPMENT = [TORCH, "-e", ".[standalone,s3,dev]", "einops", "onnxruntime"]
# Their own requirements would pull torchvision and with it another torch.
DEVELOPMENT_WITHOUT_REQUIREMENTS = ["controlnet-aux==0.0.10"]
# On Linux the standard index serves torch's CUDA build; without an NVIDIA GPU that is gigabytes for nothing.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
INDEX_SETTINGS = ("index-url", "extra-index-url", "find-links", "no-index")  # pip's own words
ANSWER_SECONDS = 2.0


class SetupFailed(Exception):
    """The environment could not be made; the text says what to do."""


def environment_python() -> Path:
    """The interpreter inside `.venv`."""
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return ENVIRONMENT / folder / name


def fingerprint(plan: list[list[str]]) -> str:
    """Changes when anything that decides the content of the environment changes."""
    text = repr(plan) + sys.version + (ROOT / "pyproject.toml").read_text("utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None


def pip_knows_where() -> bool:
    """Whether an index is set in pip's environment variables or files: then it is the user's to choose."""
    names = [f"PIP_{name.replace('-', '_').upper()}" for name in INDEX_SETTINGS]
    if any(os.environ.get(name) for name in names):
        return True
    command = [str(environment_python()), "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True).stdout
    settings = {line.partition("=")[0].rpartition(".")[2] for line in listed.splitlines()}
    return not settings.isdisjoint(INDEX_SETTINGS)


def answers(url: str) -> bool:
    """Whether an address answers within `ANSWER_SECONDS`, the look-up of its name included."""
    found: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
                found.append(True)
        except OSError:
            return

    asking = threading.Thread(target=ask, daemon=True)  # no timeout of Python's ends a look-up of a name
    asking.start()
    asking.join(ANSWER_SECONDS)
    return bool(found)


def cpu_index() -> str | None:
    """torch's own index of CPU builds, where that saves gigabytes and nobody has chosen an index."""
    if not sys.platform.startswith("linux") or os.environ.get("CI"):
        return None
    if has_nvidia_driver() or pip_knows_where():
        return None
    if answers(f"{CPU_INDEX}/torch/"):
        print(f"No NVIDIA driver here: torch is taken from {CPU_INDEX} (CPU builds).", flush=True)
        return CPU_INDEX
    print(
        "No NVIDIA driver here, but the standard index may serve torch's CUDA build (several GB).\n"
        "Stop with Ctrl-C and add --index URL to name an index with CPU builds.",
        flush=True,
    )
    return None


def pip(arguments: list[str], index: str | None) -> None:
    """Run pip inside the environment; its own progress bars show on a terminal."""
    command = [str(environment_python()), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    if index:
        command += ["--extra-index-url", index]
    if not sys.stdout.isatty():
        command.append("--quiet")
    result = subprocess.run(command, cwd=ROOT)
    if result.returncode:
        raise SetupFailed(
            f"pip could not install {' '.join(arguments)}.\n"
            "Its own message stands above. Usual causes: no network, or a Python for which torch has no "
            f"build (this one is {sys.version.split()[0]}; 3.10 to 3.13 work). Run it again to go on."
        )


def environment_works() -> bool:
    """Whether `.venv` is whole and was made by this very Python (an upgrade leaves a stale one behind)."""
    python = environment_python()
    if not python.exists():
        return False
    program = "import pip, sys; print(sys.version)"
    result = subprocess.run([str(python), "-c", program], capture_output=True, text=True)
    return result.returncode == 0 and result.stdout.strip() == sys.version


def make_environment() -> None:
    """Create `.venv`, with a helpful word where Debian keeps ensurepip in a package of its own."""
    if environment_works():
        return
    print(f"Making the environment {ENVIRONMENT.name} ...", flush=True)
    try:
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=os.name != "nt").create(ENVIRONMENT)
    except BaseException as error:
        # Half an environment would be taken for a whole one next time.
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        if not isinstance(error, (subprocess.CalledProcessError, OSError)):
            raise
        raise SetupFailed(
            f"The environment could not be made ({error}).\n"
            "On Debian and Ubuntu install the package python3-venv and run this command again."
        ) from error


def prepare(name: str, plan: list[list[str]], index: str | None) -> None:
    """Bring the environment to the state `plan` describes; a stamp makes the second call instant."""
    if sys.version_info < (3, 10):  # noqa: UP036 - an older Python can start this file
        raise SetupFailed(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}.")
    make_environment()
    stamp = ENVIRONMENT / f"img-open-{name}.stamp"
    wanted = fingerprint(plan)
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    started = time.monotonic()
    index = index or cpu_index()
    for number, arguments in enumerate(plan, 1):
        print(f"Installing ({number}/{len(plan)}): {' '.join(arguments)}", flush=True)
        pip(arguments, index)
    stamp.write_text(wanted, "utf-8")
    print(f"Environment ready after {time.monotonic() - started:.0f} s.\n", flush=True)


def child_environment() -> dict[str, str]:
    """Variables for the commands run inside the environment.

    Two threads thrash on small shared machines (measured: 100 s instead of 2.4 s), hence one; a user's
    own setting wins.
    """
    variables = dict(os.environ)
    variables.setdefault("OMP_NUM_THREADS", "1")
    variables.setdefault("PYTHONUTF8", "1")
    return variables


def run_inside(arguments: list[str]) -> int:
    return subprocess.run(
        [str(environment_python()), *arguments], cwd=ROOT, env=child_environment()
    ).returncode


def demo(rest: list[str], index: str | None) -> int:
    prepare("standalone", [[TORCH], STANDALONE], index)
    return run_inside(["-m", "img_open.demo.run", *rest])


def test(rest: list[str], index: str | None) -> int:
    plan = [[TORCH], DEVELOPMENT, ["--no-deps", *DEVELOPMENT_WITHOUT_REQUIREMENTS]]
    prepare("standalone", [[TORCH], STANDALONE], index)
    prepare("development", plan, index)
    folder, name = ("Scripts", "pytest.exe") if os.name == "nt" else ("bin", "pytest")
    # The pytest script, not `python -m pytest`: the latter puts this folder on sys.path, where our
    # `nodes` package would shadow ComfyUI's module of the same name.
    program = ENVIRONMENT / folder / name
    return subprocess.run([str(program), *rest], cwd=ROOT, env=child_environment()).returncode


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="dev.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["demo", "test"])
    parser.add_argument(
        "--index",
        metavar="URL",
        help="an extra package index for pip; default: torch's own index of CPU builds on Linux without an "
        "NVIDIA driver, if pip has no index set and it answers",
    )
    parser.add_argument(
        "options", nargs=argparse.REMAINDER, help="handed on: dev.py demo --help, dev.py test -k name"
    )
    own = parser.parse_args(arguments)
    try:
        return {"demo": demo, "test": test}[own.command](own.options, own.index)
    except SetupFailed as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

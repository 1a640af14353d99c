"""`massager completion`: a script for each shell, made from the commands that exist."""

import os
import shutil
import subprocess
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest

from massager.cli.completion import SHELLS, add_arguments, run
from massager.errors import UsageError


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_knows_every_command_and_its_flags(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(shell)) == 0

    script = capsys.readouterr().out
    for word in ("start", "stop", "devices", "trace", "completion", "intensity", "identify"):
        assert word in script


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_itself_accepts_the_script(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shutil.which(shell)
    if found is None:
        assert not os.environ.get("CI"), f"{shell} is missing; .ci/run installs it"
        pytest.skip(f"{shell} is not installed")
    run(arguments(shell))
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out, encoding="utf-8")

    checked = subprocess.run([found, "-n", str(script)], capture_output=True, text=True, timeout=20)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_bash_completes_the_name_of_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    run(arguments("bash"))
    script = tmp_path / "massager"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    ask = (
        f"source {script}; COMP_WORDS=(massager dev); COMP_CWORD=1; "
        "_shtab_massager massager dev massager; echo ${COMPREPLY[@]}"
    )

    done = subprocess.run([bash, "-c", ask], capture_output=True, text=True, timeout=20)

    assert done.stdout.split() == ["devices"], done.stderr


def test_another_shell_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(UsageError, match="bash, zsh, fish"):
        arguments("elvish")


def test_help_says_how_to_install_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments("--help")

    text = " ".join(capsys.readouterr().out.split())
    assert "massager completion bash > ~/.local/share/bash-completion/completions/massager" in text
    assert "fish" in text
    assert "fpath" in text

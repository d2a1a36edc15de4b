"""Compiles the texts into the wheel; everything else is in pyproject.toml."""

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithTexts(build_py):
    def run(self) -> None:
        from babel.messages.frontend import CommandLineInterface

        CommandLineInterface().run(["pybabel", "--quiet", "compile", "--directory", "locales", "--domain", "bot"])
        super().run()


setup(cmdclass={"build_py": BuildWithTexts})

"""The wheel's one step that pyproject.toml cannot say: contracts/ travels inside the package, as harness/builtin."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONTRACTS = Path("contracts")


class WithContracts(build_py):
    """Copy every contract and ship.yaml into the package that is being built; a checkout keeps them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source, target in self._contracts():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *(str(target) for _, target in self._contracts())]

    def _contracts(self) -> list[tuple[Path, Path]]:
        inside = Path(self.build_lib) / "harness" / "builtin"
        return [(path, inside / path.relative_to(CONTRACTS)) for path in sorted(CONTRACTS.rglob("*.yaml"))]


setup(cmdclass={"build_py": WithContracts})

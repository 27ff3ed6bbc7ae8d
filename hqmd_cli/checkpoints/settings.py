"""Settings of a checkpoint, compared with the settings of the paper that its network comes from."""

from dataclasses import dataclass
from typing import Any

from hqmd_cli.config.base import Settings
from hqmd_cli.config.network import OURS, TRANSFORMERS, ModelConfig
from hqmd_cli.config.training import TrainConfig


@dataclass(frozen=True)
class Setting:
    """A setting of a checkpoint beside its authors' value."""

    name: str
    value: Any
    paper: Any

    @property
    def differs(self) -> bool:
        """True if the value is not the paper's."""
        return self.value != self.paper

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"value": self.value, "paper": self.paper, "differs": self.differs}


def paper_of(system: str) -> tuple[ModelConfig, TrainConfig]:
    """Return the authors' settings of a system; the defaults, which need no torch, for our own and transformers'."""
    if system in (OURS, TRANSFORMERS):
        return ModelConfig(), TrainConfig()
    from hqmd_cli.models.recipes import from_paper

    return from_paper(system, {})


def compared(config: Settings, paper: Settings) -> list[Setting]:
    """Pair each setting with the paper's. `also` and the foreign network are left out, which are no single values."""
    own, theirs = config.to_flat(), paper.to_flat()
    return [
        Setting(name, value, theirs.get(name, ())) for name, value in own.items() if name not in ("also", TRANSFORMERS)
    ]


def shown(value: Any) -> str:
    """Format a setting's value in one line: (224, 288) -> 224,288."""
    if isinstance(value, dict):
        return " ".join([str(value["name"]), *(f"{name} {shown(v)}" for name, v in value.items() if name != "name")])
    if isinstance(value, (tuple, list)):
        return ",".join(map(shown, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)

"""The settings of a checkpoint beside those of the paper that its network is from."""

from dataclasses import dataclass
from typing import Any

from hqmd_cli.config.base import Settings
from hqmd_cli.config.network import OURS, ModelConfig
from hqmd_cli.config.training import TrainConfig


@dataclass(frozen=True)
class Setting:
    """One of them."""

    name: str
    value: Any
    paper: Any  # the authors' value

    @property
    def differs(self) -> bool:
        """Whether it is not the paper's."""
        return self.value != self.paper

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"value": self.value, "paper": self.paper, "differs": self.differs}


def paper_of(system: str) -> tuple[ModelConfig, TrainConfig]:
    """The authors' settings of a network. Those of our own are the defaults, and no torch is imported for them."""
    if system == OURS:
        return ModelConfig(), TrainConfig()
    from hqmd_cli.models.recipes import from_paper

    return from_paper(system, {})


def compared(config: Settings, paper: Settings) -> list[Setting]:
    """Each setting with the paper's; `also`, which is further networks and no setting of this one, is left out."""
    own, theirs = config.to_flat(), paper.to_flat()
    return [Setting(name, value, theirs[name]) for name, value in own.items() if name != "also"]


def shown(value: Any) -> str:
    """A setting's value in a line: (224, 288) -> 224,288."""
    if isinstance(value, dict):
        return " ".join([str(value["name"]), *(f"{name} {shown(v)}" for name, v in value.items() if name != "name")])
    if isinstance(value, (tuple, list)):
        return ",".join(map(shown, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)

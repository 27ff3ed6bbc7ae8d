"""Settings of a training run (paper 3.2 and 4.1), in groups as training reads them. Defaults are the paper's."""

from dataclasses import dataclass

from hqmd_cli.config.base import (
    LARGEST_SIDE,
    LARGEST_WHOLE,
    MOST_SIDES,
    SMALLEST_SIDE,
    Bounds,
    Settings,
    brief,
    require,
    require_within,
)

# Beyond what any run needs; a file with larger numbers is damaged.
BOUNDS: Bounds = {
    "batch_size": (1, 2**16),
    "accumulate": (1, 2**16),
    "seed": (0, LARGEST_WHOLE),
    "clip_norm": (0, 1e9),
    "batch_sides": (1, LARGEST_SIDE),
    "epochs": (1, 10**6),
    "max_steps": (1, 10**12),
    "lr": (0, 1000),
    "weight_decay": (0, 1000),
    "poly_power": (0, 1000),
    "lr_decay_steps": (1, 10**12),
    "warmup_steps": (0, 10**12),
}
PRECISIONS = ("fp32", "bf16", "fp16")  # in which a network can compute while it learns


@dataclass(frozen=True)
class Objective(Settings):
    """What a run learns, and what its validation measures."""

    loss: str = "full"  # a key of losses.LOSSES
    teacher_share: float = 0.5  # with --teacher: share of the loss that compares to its depth, not the ground truth
    protocol: str = "hqmd"  # of the validation after each epoch; a key of evaluation.protocols.PROTOCOLS

    def __post_init__(self) -> None:
        require(0 < self.teacher_share <= 1, f"teacher_share must be above 0 and at most 1, not {self.teacher_share}")


@dataclass(frozen=True)
class Batching(Settings):
    """Which examples a run sees, and how many."""

    batch_size: int = 8  # 4.1
    accumulate: int = 1  # parts in which a batch goes through the network, one after another; more take less memory
    epochs: int = 20  # 4.1
    max_steps: int | None = None  # stop earlier; None: after the epochs
    augmentation: str = "eigen"  # a key of training.augmentation.AUGMENTATIONS; Eigen's is the paper's
    # Shorter sides of the pictures, one drawn for each batch; none: the network's size alone
    batch_sides: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            len(self.batch_sides) <= MOST_SIDES and min(self.batch_sides, default=SMALLEST_SIDE) >= SMALLEST_SIDE,
            f"batch_sides must be at most {MOST_SIDES} sides of at least {SMALLEST_SIDE} pixels, not "
            f"{brief(self.batch_sides)}",
        )
        require_within(self, BOUNDS)
        require(
            self.batch_size % self.accumulate == 0,
            f"accumulate must divide the batch of {self.batch_size}, not {self.accumulate}",
        )


@dataclass(frozen=True)
class Optimization(Settings):
    """Which weights learn, by which rule and how fast."""

    optimizer: str = "adam"  # or "adamw", "sgd"; the paper does not name one, and its lr of 1e-4 is usual for Adam
    lr: float = 1e-4  # 4.1
    momentum: float = 0.9  # of sgd
    weight_decay: float = 0.0
    clip_norm: float = 0.0  # > 0: scale gradients down to this norm
    backbone_lr_factor: float = 1.0  # the backbone's share of lr, for pretrained weights
    first_layer_lr_factor: float = 1.0  # the first layer's share of the backbone's rate; geometric up to the last layer
    freeze_backbone: bool = False
    freeze_bn: bool = False  # batch norm keeps its statistics, scales and shifts
    ema_decay: float = 0.0  # > 0: validate and keep the exponential moving average of the weights

    def __post_init__(self) -> None:
        known = ("adam", "adamw", "sgd")
        require(self.optimizer in known, f"optimizer must be one of {', '.join(known)}, not {self.optimizer!r}")
        require(self.lr > 0, f"lr must be positive, not {self.lr}")
        require(0 <= self.momentum < 1, f"momentum must be in [0, 1), not {self.momentum}")
        require(
            0 < self.backbone_lr_factor <= 1 and 0 < self.first_layer_lr_factor <= 1,
            "backbone_lr_factor and first_layer_lr_factor must be in (0, 1], not "
            f"{self.backbone_lr_factor} and {self.first_layer_lr_factor}",
        )
        require(0 <= self.ema_decay < 1, f"ema_decay must be in [0, 1), not {self.ema_decay}")
        require_within(self, BOUNDS)


@dataclass(frozen=True)
class Schedule(Settings):
    """How the learning rate changes over the steps."""

    # "step": lr x lr_decay each lr_decay_steps (4.1); "cosine" and "poly": down to 0 at the last step
    schedule: str = "step"
    poly_power: float = 0.9  # of "poly": lr x (1 - step / total) ^ poly_power
    lr_decay: float = 0.9  # 4.1
    lr_decay_steps: int = 10_000  # 4.1
    warmup_steps: int = 0  # linear from 0

    def __post_init__(self) -> None:
        known = ("step", "cosine", "poly")
        require(self.schedule in known, f"schedule must be one of {', '.join(known)}, not {self.schedule!r}")
        require(self.poly_power > 0, f"poly_power must be positive, not {self.poly_power}")
        require(0 < self.lr_decay <= 1, f"lr_decay must be in (0, 1], not {self.lr_decay}")
        require_within(self, BOUNDS)


@dataclass(frozen=True)
class Numerics(Settings):
    """How exactly a run computes, and how many bad batches it survives."""

    # "bf16", "fp16": the network computes in 16 bits (autocast), weights and loss stay in float32
    precision: str = "fp32"
    deterministic: bool = False  # only algorithms that give the same bits each time; a CPU's do, a GPU's are slower
    skip_bad_batches: int = 0  # leave out up to so many batches whose loss is not finite

    def __post_init__(self) -> None:
        require(self.precision in PRECISIONS, f"precision must be fp32, bf16 or fp16, not {self.precision!r}")
        require(self.skip_bad_batches >= 0, f"skip_bad_batches must not be negative, but is {self.skip_bad_batches}")


@dataclass(frozen=True)
class TrainConfig(Settings):
    """A training run."""

    objective: Objective = Objective()
    batching: Batching = Batching()
    optimization: Optimization = Optimization()
    schedule: Schedule = Schedule()
    numerics: Numerics = Numerics()

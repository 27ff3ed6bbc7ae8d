"""What a network is and how it is trained: two frozen dataclasses whose defaults are the paper's.

A checkpoint stores both, so it reopens without a flag and says how it was made. Sections cited are those of
Jiang & Huang, "High Quality Monocular Depth Estimation via a Multi-Scale Network and a Detail-Preserving
Objective" (HQMD).
"""

from dataclasses import dataclass

from hqmd_cli.config.base import Config

PRECISIONS = ("fp32", "bf16", "fp16")  # that a network computes in while it learns


@dataclass(frozen=True)
class TrainConfig(Config):
    """The training run (paper 3.2 and 4.1)."""

    loss: str = "full"  # a key of losses.LOSSES
    batch_size: int = 8  # 4.1
    epochs: int = 20  # 4.1
    max_steps: int | None = None  # stop earlier; None: after the epochs
    optimizer: str = "adam"  # or "adamw", "sgd"; the paper leaves it unsaid; Adam is what its lr of 1e-4 is usual for
    lr: float = 1e-4  # 4.1
    momentum: float = 0.9  # of sgd
    # "step": lr x lr_decay each lr_decay_steps (4.1); "cosine" and "poly": down to 0 at the last step
    schedule: str = "step"
    poly_power: float = 0.9  # of "poly": lr x (1 - step / total) ^ poly_power
    lr_decay: float = 0.9  # 4.1
    lr_decay_steps: int = 10_000  # 4.1
    warmup_steps: int = 0  # linear from 0
    weight_decay: float = 0.0
    backbone_lr_factor: float = 1.0  # the backbone's share of lr, for pretrained weights
    first_layer_lr_factor: float = 1.0  # of that, the share of the backbone's first layer; geometric up to the last
    freeze_backbone: bool = False
    ema_decay: float = 0.0  # > 0: validate and keep the exponential moving average of the weights
    augmentation: str = "eigen"  # a key of transforms.AUGMENTATIONS; the paper's is Eigen's
    # "bf16", "fp16": the network computes in short numbers (autocast), weights and loss stay in float32
    precision: str = "fp32"
    accumulate: int = 1  # each batch goes through the network in so many parts, which takes less memory
    clip_norm: float = 0.0  # > 0: gradients are scaled down to this norm
    freeze_bn: bool = False  # batch norm keeps its statistics, scales and shifts
    skip_bad_batches: int = 0  # how many batches whose loss is not finite may be left out
    deterministic: bool = False  # only algorithms that give the same bits each time; a CPU's do, a GPU's are slower
    teacher_share: float = 0.5  # with --teacher: how much of the loss is against its depth, not the ground truth
    protocol: str = "hqmd"  # what the validation after each epoch is measured by; a key of protocol.PROTOCOLS
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("optimizer", self.optimizer, ("adam", "adamw", "sgd")),
            ("schedule", self.schedule, ("step", "cosine", "poly")),
        ):
            self.require(value in known, f"{name} must be one of {', '.join(known)}, not {value!r}")
        self.require(0 <= self.momentum < 1, f"momentum must be in [0, 1), not {self.momentum}")
        self.require(self.poly_power > 0, f"poly_power must be positive, not {self.poly_power}")
        self.require(self.lr > 0, f"lr must be positive, not {self.lr}")
        self.require(
            min(self.batch_size, self.epochs, self.lr_decay_steps) >= 1,
            "batch_size, epochs and lr_decay_steps must be at least 1",
        )
        self.require(
            self.max_steps is None or self.max_steps >= 1,
            f"max_steps must be at least 1, not {self.max_steps}",
        )
        self.require(0 < self.lr_decay <= 1, f"lr_decay must be in (0, 1], not {self.lr_decay}")
        self.require(self.seed >= 0, f"seed must not be negative, but is {self.seed}")
        self.require(
            0 < self.teacher_share <= 1, f"teacher_share must be above 0 and at most 1, not {self.teacher_share}"
        )
        self.require(self.precision in PRECISIONS, f"precision must be fp32, bf16 or fp16, not {self.precision!r}")
        self.require(
            self.accumulate >= 1 and self.batch_size % self.accumulate == 0,
            f"accumulate must divide the batch of {self.batch_size}, not {self.accumulate}",
        )
        self.require(0 <= self.ema_decay < 1, f"ema_decay must be in [0, 1), not {self.ema_decay}")
        self.require(
            0 < self.backbone_lr_factor <= 1 and 0 < self.first_layer_lr_factor <= 1,
            "backbone_lr_factor and first_layer_lr_factor must be in (0, 1], not "
            f"{self.backbone_lr_factor} and {self.first_layer_lr_factor}",
        )
        self.require(
            min(self.warmup_steps, self.weight_decay, self.clip_norm, self.skip_bad_batches) >= 0,
            "warmup_steps, weight_decay, clip_norm and skip_bad_batches must not be negative",
        )

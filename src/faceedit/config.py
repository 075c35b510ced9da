"""Settings as frozen dataclasses; a field and the command-line option of it share one name and one default."""

from dataclasses import dataclass

DEFAULT_WEIGHTS = "warp-96"
JUDGE_WEIGHTS = "judge"


@dataclass(frozen=True)
class CaaeConfig:
    """Sizes of the paper's four networks. The defaults are the paper's."""

    image_size: int = 96  # pixels; a multiple of 16, as each half of the autoencoder has four steps of 2
    z_dim: int = 50
    encoder_channels: tuple[int, ...] = (64, 128, 256, 512)
    generator_channels: tuple[int, ...] = (1024, 512, 256, 128, 64, 32)
    discriminator_channels: tuple[int, ...] = (16, 32, 64, 128)
    discriminator_hidden: int = 1024
    latent_channels: tuple[int, ...] = (64, 32, 16)


@dataclass(frozen=True)
class EstimatorConfig:
    """Sizes of an affect estimator. The defaults are the judge's."""

    image_size: int = 96
    block: str = "residual"  # or "plain"
    channels: tuple[int, ...] = (32, 64, 128, 256)  # of the stem and of each stage; each halves the size
    blocks: int = 2  # in each stage


@dataclass(frozen=True)
class LandmarkConfig:
    """Sizes of the networks that find landmarks."""

    image_size: int = 96
    fine_size: int = 192  # of the crop in which mouth and eyes are looked at again
    region_channels: tuple[int, ...] = (16, 32, 64, 64)  # of these networks; each halves the size
    channels: tuple[int, ...] = (24, 48, 96, 192)  # of the stem and of each stage; each halves the size
    narrow: int = 48  # channels from which all landmarks are read


@dataclass(frozen=True)
class WarpConfig:
    """Sizes of the editor's own networks."""

    image_size: int = 96  # pixels; divisible by 2 for each step of the encoder
    z_dim: int = 64
    channels: tuple[int, ...] = (24, 64, 96, 128)  # at half size, then after each step
    condition_dim: int = 128
    target_dim: int = 2  # valence and arousal, and then 8 expressions, which weights of version 0.1 do not know
    discriminator_channels: tuple[int, ...] = (64, 128, 256)  # of the teacher's stages whose maps it reads
    discriminator_hidden: int = 64
    latent_channels: tuple[int, ...] = (64, 32, 16)


@dataclass(frozen=True)
class MouthConfig:
    """Sizes of the networks that inpaint the inside of mouths."""

    image_size: int = 256  # pixels, of the aligned crop of which the mouth's region is a part
    z_dim: int = 16
    channels: tuple[int, ...] = (64, 112, 160)  # at a quarter, an eighth and a sixteenth of the region's size
    fine_channels: int = 24  # at a half
    condition_dim: int = 128
    discriminator_channels: tuple[int, ...] = (32, 48, 64, 96)  # for each map of `training.projected`


@dataclass(frozen=True)
class FoldConfig:
    """Sizes of the network of folds."""

    image_size: int = 128  # pixels; a multiple of 8
    channels: tuple[int, ...] = (16, 48, 96)  # at a half, a quarter and an eighth of the size
    condition_dim: int = 128


@dataclass(frozen=True)
class OcclusionConfig:
    """Sizes of the network of occlusion."""

    image_size: int = 128  # pixels; a multiple of 2 to the number of channels
    channels: tuple[int, ...] = (16, 32, 64, 96)  # at a half of the size, a quarter, and so on


@dataclass(frozen=True)
class TrainConfig:
    """What every training run has."""

    epochs: int = 50
    minutes: float | None = None  # when given, training stops after this time instead of after `epochs`
    batch: int = 49
    learning_rate: float = 2e-4
    ema_decay: float = 0.999
    seed: int = 0
    save_minutes: float = 10.0


@dataclass(frozen=True)
class CaaeTraining(TrainConfig):
    """How to train the paper's CAAE. Weights, rates and the batch are the paper's."""

    ema_decay: float = 0.9995
    beta1: float = 0.5
    perceptual: str = "facenet"
    perceptual_weight: float = 1 / 3
    perceptual_images: int = 16  # the paper's loss looks at the first 16 of a batch only
    adversarial_weight: float = 0.01  # of both discriminators


@dataclass(frozen=True)
class EstimatorTraining(TrainConfig):
    """How to train an affect estimator.

    half: 0 or 1, the half of the training photos that it sees. The other half sets its scale, so that it does not
    shrink towards the mean, and trains the other estimator, so that the two share no photo. perturbation: up to how far
    (Euclidean, in units of images) each crop is moved against the estimator first, so that only changes that mean
    something move its estimate (Engstrom et al. 2019).
    """

    epochs: int = 30
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    half: int = 0
    expression_weight: float = 1.0
    perturbation: float = 0.0


@dataclass(frozen=True)
class WarpTraining(TrainConfig):
    """How to train the editor. teacher: weights of the estimator that teaches it, by name or path.

    landmarks: weights of the network that finds the crops' landmarks, by name or path. balance: how far the bins of the
    affect plane are evened out, 0 to 1.
    """

    epochs: int = 60
    batch: int = 16
    learning_rate: float = 6e-4
    teacher: str | None = None
    balance: float = 0.7
    landmarks: str = "landmarks"
    affect_weight: float = 3.0
    expression_weight: float = 1.0
    geometry_weight: float = 3.0
    adversarial_weight: float = 0.5
    latent_weight: float = 0.03
    bending_weight: float = 3.5
    change_weight: float = 2.0
    cycle_weight: float = 20.0


@dataclass(frozen=True)
class MouthTraining(TrainConfig):
    """How to train the mouth inpainter.

    landmarks, balance: as in WarpTraining; groups are how far lips are apart, how sharp a photo is
    and whether arousal is high.
    feature_weight: of what a network trained on ImageNet sees.
    """

    epochs: int = 30
    batch: int = 16
    learning_rate: float = 2e-4
    ema_decay: float = 0.998
    landmarks: str = "landmarks"
    balance: float = 0.9
    pixel_weight: float = 2.0
    colour_weight: float = 0.5
    tint_weight: float = 4.0
    feature_weight: float = 4.0
    adversarial_weight: float = 0.4
    latent_weight: float = 0.02
    recovery_weight: float = 0.15


@dataclass(frozen=True)
class FoldTraining(TrainConfig):
    """How to train the network of folds. landmarks, balance: as in WarpTraining; groups are the bins of the affect
    plane, each divided by expression and into sharp and soft photos."""

    epochs: int = 8
    batch: int = 16
    learning_rate: float = 1e-3
    ema_decay: float = 0.998
    landmarks: str = "landmarks"
    balance: float = 0.6


@dataclass(frozen=True)
class OcclusionTraining(TrainConfig):
    """How to train the network of occlusion. landmarks: as in WarpTraining."""

    epochs: int = 6
    batch: int = 32
    learning_rate: float = 2e-3
    ema_decay: float = 0.995
    landmarks: str = "landmarks"


NetworkConfig = CaaeConfig | WarpConfig | EstimatorConfig | LandmarkConfig | MouthConfig | FoldConfig | OcclusionConfig

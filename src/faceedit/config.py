"""Settings as frozen dataclasses; a field and the command-line option of it share one name and one default."""

from dataclasses import dataclass

DEFAULT_WEIGHTS = "caae-96"


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
class TrainConfig:
    """How to train the paper's CAAE. Weights, rates and the batch are the paper's."""

    epochs: int = 50
    minutes: float | None = None  # when given, training stops after this time instead of after `epochs`
    batch: int = 49
    learning_rate: float = 2e-4
    beta1: float = 0.5
    perceptual: str = "facenet"
    perceptual_weight: float = 1 / 3
    perceptual_images: int = 16  # the paper's loss looks at the first 16 of a batch only
    adversarial_weight: float = 0.01  # of both discriminators
    ema_decay: float = 0.999
    seed: int = 0
    save_minutes: float = 10.0

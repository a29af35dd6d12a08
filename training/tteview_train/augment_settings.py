"""The settings of the augmentation."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class AugmentSettings:
    """The ranges of the random changes.

    Fields that end in `_p` are probabilities. The other numbers are limits of random values.
    """

    crop: tuple[float, float] = (0.7, 1.0)
    """Minimum and maximum side length of the crop, as a fraction of the image's side length."""
    aspect: float = 0.15
    """Maximum relative change of the aspect ratio."""
    zoom_out: float = 1.45
    """Maximum side length of the area shown by zooming out, relative to that of the image.

    The part of this area that lies outside the image is black.
    """
    zoom_out_p: float = 0.5
    """Probability that the image is zoomed out instead of cropped."""
    zoom_defined: tuple[str, ...] = ("A4C-RV", "A4C-LA", "PLAX-ZAV", "PLAX-ZMV")
    """Views that differ from other views only in zoom and therefore use `zoom_defined_crop`."""
    zoom_defined_crop: tuple[float, float] = (0.92, 1.1)
    rotation_deg: float = 20.0
    perspective_p: float = 0.4
    perspective: float = 0.25
    """Maximum relative change of the magnification from the centre of the image to its edge."""
    warp_p: float = 0.5
    warp: float = 0.05
    """Maximum standard deviation of the elastic warp, as a fraction of the image's side length."""
    flip_p: float = 0.0
    gain: float = 0.45
    """Maximum relative change of the grey values."""
    offset: float = 0.12
    """Maximum shift of the grey values, which lie between 0 and 1.

    A grey value is the logarithm of the echo, so a shift corresponds to a change of the scanner
    gain. If the grey values cover 60 dB, a shift of 0.12 corresponds to 7 dB.
    """
    contrast: float = 0.25
    gamma: tuple[float, float] = (0.65, 1.9)
    depth_gain: float = 0.3
    """Maximum relative difference in brightness between the near and the far field.

    Wrong settings of the time gain compensation cause such differences.
    """
    curve_p: float = 0.4
    """Probability of a random grey curve, which rises everywhere."""
    shadow_p: float = 0.3
    """Probability of up to three shadows, which are wedges from the apex of the sector."""
    shadow: tuple[float, float] = (0.05, 0.7)
    """Range of the factor that a shadow applies to the brightness."""
    shade_p: float = 0.5
    shade: tuple[float, float] = (0.15, 0.8)
    """Range of the shading strength (standard deviation of the logarithm of the brightness)."""
    speckle_p: float = 0.5
    speckle: tuple[float, float] = (0.05, 0.3)
    noise_p: float = 0.3
    noise: float = 0.12
    """Maximum standard deviation of noise that is added to the grey values from 0 to 1."""
    persistence_p: float = 0.25
    persistence: tuple[float, float] = (0.2, 0.7)
    """Range of the weight of the previous frame in a recursive average over the frames."""
    coarse_p: float = 0.25
    coarse: tuple[float, float] = (0.35, 0.8)
    """Range of the factor of the resolution to which a cine is reduced before it is enlarged."""
    blur_p: float = 0.35
    blur_sigma_px: tuple[float, float] = (0.4, 1.4)
    tint_p: float = 0.4
    """Probability that a grey cine gets a colour map, if the network has three input channels."""
    tint: float = 0.25
    """Maximum of the absolute value of the logarithm of each channel's gamma in a colour map."""
    sector_p: float = 0.5
    background_p: float = 0.6
    rate: tuple[float, float] = (0.85, 1.2)
    """Range of the factor for the sample interval. The factor changes the apparent heart rate."""
    drop_frames_p: float = 0.3
    drop_frames: float = 0.15
    """Maximum probability that a frame is dropped."""
    shown_rate_p: float = 0.5
    """Probability that only every second or third frame is kept."""
    still_p: float = 0.15
    """Probability that the whole sequence repeats a single frame, like a stored still image."""

    def scale(self, strength: float) -> AugmentSettings:
        """Scales the settings by `strength`, from 0 (almost no augmentation) to 1 (full strength).

        Changes that have a probability become less frequent but keep their ranges.
        `flip_p`, `zoom_out_p` and `background_p` do not change, so flips and changes to the
        background remain even at 0.
        """

        def around_one(limits: tuple[float, float]) -> tuple[float, float]:
            return (1 + (limits[0] - 1) * strength, 1 + (limits[1] - 1) * strength)

        return replace(
            self,
            crop=around_one(self.crop),
            aspect=self.aspect * strength,
            zoom_out=1 + (self.zoom_out - 1) * strength,
            zoom_defined_crop=around_one(self.zoom_defined_crop),
            rotation_deg=self.rotation_deg * strength,
            perspective_p=self.perspective_p * strength,
            warp_p=self.warp_p * strength,
            gain=self.gain * strength,
            offset=self.offset * strength,
            contrast=self.contrast * strength,
            gamma=(self.gamma[0] ** strength, self.gamma[1] ** strength),
            depth_gain=self.depth_gain * strength,
            curve_p=self.curve_p * strength,
            shadow_p=self.shadow_p * strength,
            shade_p=self.shade_p * strength,
            speckle_p=self.speckle_p * strength,
            noise_p=self.noise_p * strength,
            persistence_p=self.persistence_p * strength,
            coarse_p=self.coarse_p * strength,
            blur_p=self.blur_p * strength,
            tint_p=self.tint_p * strength,
            sector_p=self.sector_p * strength,
            rate=around_one(self.rate),
            drop_frames_p=self.drop_frames_p * strength,
            shown_rate_p=self.shown_rate_p * strength,
            still_p=self.still_p * strength,
        )

    def remove_geometry(self) -> AugmentSettings:
        """Returns the settings without changes of the geometry."""
        return replace(
            self,
            crop=(1.0, 1.0),
            aspect=0.0,
            zoom_out=1.0,
            zoom_defined_crop=(1.0, 1.0),
            rotation_deg=0.0,
            perspective_p=0.0,
            warp_p=0.0,
        )

    def remove_appearance(self) -> AugmentSettings:
        """Returns the settings without changes of the grey values inside the sector."""
        return replace(
            self,
            gain=0.0,
            offset=0.0,
            contrast=0.0,
            gamma=(1.0, 1.0),
            depth_gain=0.0,
            curve_p=0.0,
            shadow_p=0.0,
            shade_p=0.0,
            speckle_p=0.0,
            noise_p=0.0,
            persistence_p=0.0,
            coarse_p=0.0,
            blur_p=0.0,
            tint_p=0.0,
        )

"""How strict each term of the person's fit is."""

from __future__ import annotations

from dataclasses import dataclass

from sfv_gym.fitting.canonical_body import ADULT_SIZE


@dataclass(frozen=True)
class Weights:
    """Spreads of the fit's terms: the smaller, the stricter.

    Attributes:
        pixel: share of the body's height in the picture.
        direction: radians, of a 3D landmark direction.
        link_acceleration: m/s2.
        angle_acceleration: rad/s2.
        end_velocity: rad/s, of joints at a clip's end whose detections are not believed.
        rest: factor on the pose prior's spreads.
        scale: of the logarithm of the person's size, about ``mean_scale``.
        proportion: of the logarithm of each length beside the size.
        pitch, roll: radians, of the camera.
        contact_height: metres.
        contact_slide: metres per frame.
        flight: m/s2, of the centre of mass's acceleration against gravity.
        support: m/s2, of a ground force outside the friction cone.
        spin: kg m2/s, of the angular momentum in flight.
        com_acceleration: m/s2, horizontal, of the centre of mass.
        contact_acceleration: m/s2, of the centre of mass where something touches.
        lean: radians, of the landmark directions about the camera's x axis.
        balance: metres, of the zero-moment point beyond what touches the ground.
        soft_support_height, soft_support_balance: metres, before contacts are known.
        camera_height: metres, about ``mean_camera_height``.
        mean_pitch: radians, down; cameras show the feet.
        mean_camera_height: metres above the ground; most are held in front of the face or chest.
        mean_scale: an average person's size as a multiple of the character's.
    """

    pixel: float = 0.012
    direction: float = 0.25
    link_acceleration: float = 15.0
    angle_acceleration: float = 60.0
    end_velocity: float = 2.0
    rest: float = 0.7
    scale: float = 0.06
    proportion: float = 0.06
    pitch: float = 0.2
    roll: float = 0.03
    contact_height: float = 0.01
    contact_slide: float = 0.004
    flight: float = 1.0
    support: float = 3.0
    spin: float = 3.0
    com_acceleration: float = 8.0
    contact_acceleration: float = 12.0
    mean_scale: float = ADULT_SIZE
    lean: float = 0.15
    balance: float = 0.03
    soft_support_height: float = 0.05
    soft_support_balance: float = 0.05
    camera_height: float = 0.5
    mean_pitch: float = 0.1
    mean_camera_height: float = 1.3

"""Files -> waveforms -> log-mel or MFCC; built-in soundscapes."""

from gcrnn_jax.audio.front_end import FrontEnd, LogMel, Mfcc

__all__ = ["FrontEnd", "LogMel", "Mfcc"]

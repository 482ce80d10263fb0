"""What programs import from `torch.utils`: `checkpoint`."""

from . import checkpoint

__all__ = ["checkpoint"]

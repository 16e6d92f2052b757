"""One message as bytes: two lengths, a JSON header, then the bytes of each tensor as they are."""

from __future__ import annotations

import json
import math
import struct

import torch
from torch import Tensor

from .codec import DTYPE_NAMES, DTYPES, Tampered

MAX_MESSAGE = 64 << 20  # bytes of one message
MAX_HEADER = 1 << 20  # bytes of its JSON part
MAX_DIMS = 16
_SURPRISES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error)


def pack(header: dict, tensors: list[Tensor], keep_grad: bool = False) -> bytes:
    """One message: two lengths, the JSON header, then each tensor's bytes, padded to 16."""
    described, blobs, size = [], [], 0
    for tensor in tensors:
        flat = tensor.detach().contiguous()
        if flat.dtype == torch.bfloat16:  # numpy has no such type
            flat = flat.reshape(-1).view(torch.uint8)
        data = flat.resolve_conj().resolve_neg().numpy().tobytes()
        described.append(
            [DTYPE_NAMES[tensor.dtype], list(tensor.shape), int(keep_grad and tensor.requires_grad)]
        )
        blobs += [data, bytes(-len(data) % 16)]
        size += len(data) + -len(data) % 16
    text = json.dumps({**header, "t": described}).encode()
    text += b" " * (-(len(text) + 8) % 16)  # tensors start at a multiple of 16
    if len(text) > MAX_HEADER or size + len(text) > MAX_MESSAGE:
        megabytes = (size + len(text)) >> 20
        raise TypeError(f"a value of {megabytes} MB is too large (limit {MAX_MESSAGE >> 20} MB)")
    return b"".join([struct.pack("<II", 8 + len(text) + size, len(text)), text, *blobs])


def unpack(message: bytes | bytearray) -> tuple[dict, list[Tensor]]:
    """(header, tensors) of one message; every length is checked before it is used."""
    try:
        buffer = bytearray(message)
        total, length = struct.unpack_from("<II", buffer)
        if total != len(buffer) or length > min(MAX_HEADER, total - 8):
            raise ValueError("framing")
        header = json.loads(bytes(buffer[8 : 8 + length]))
        position, tensors = 8 + length, []
        for name, shape, requires_grad in header["t"]:
            tensor, position = _read_tensor(buffer, position, DTYPES[name], shape)
            if requires_grad and (tensor.is_floating_point() or tensor.is_complex()):
                tensor.requires_grad_()
            tensors.append(tensor)
        if position != len(buffer):
            raise ValueError("bytes left over")
        return header, tensors
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        struct.error,
    ) as e:
        raise Tampered(f"{type(e).__name__}: {str(e)[:100]}") from None


def _read_tensor(
    buffer: bytearray, position: int, dtype: torch.dtype, shape: list[int]
) -> tuple[Tensor, int]:
    if len(shape) > MAX_DIMS or not all(type(n) is int and 0 <= n < 1 << 32 for n in shape):
        raise ValueError("shape")
    count = math.prod(shape)
    size = count * dtype.itemsize
    if position + size > len(buffer):
        raise ValueError("tensor longer than its message")
    if dtype is torch.bool and count and max(buffer[position : position + size]) > 1:
        raise ValueError("a byte that is no bool")
    if count == 0:
        return torch.empty(shape, dtype=dtype), position
    tensor = torch.frombuffer(buffer, dtype=dtype, count=count, offset=position).reshape(shape)
    return tensor, position + size + -size % 16

"""Real pictures from the installation, and loaders on small files made here."""

import gzip
import socket
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.data import ImageFolder, celeba, digits, faces, lsun, mnist, read_idx


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("data must not reach for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


# -- what is installed -----------------------------------------------------------------------------------


def test_digits_are_split_for_good():
    train, test, everything = digits("train"), digits("test"), digits()
    assert train.x.shape == (1200, 1, 8, 8) and test.x.shape == (597, 1, 8, 8) and len(everything.x) == 1797
    assert train.x.dtype == torch.float32 and train.y.dtype == torch.int64
    assert everything.x.min() == -1 and everything.x.max() == 1
    assert train.y.bincount().min() > 100 and test.y.bincount().min() > 40
    assert torch.equal(digits("train").x, train.x) and train.rows.shape == (1200, 64)
    both = torch.cat([train.rows, test.rows]).sum(0)
    assert torch.allclose(both, everything.rows.sum(0), atol=1e-2)
    with pytest.raises(ValueError, match="'validation'"):
        digits("validation")


def test_digits_look_like_digits():
    """A zero is dark in the middle and a one is not, on average."""
    data = digits()
    middle = data.x[:, 0, 3:5, 3:5].mean((1, 2))
    assert middle[data.y == 0].mean() < -0.5 < 0.3 < middle[data.y == 1].mean()


def test_faces_are_the_first_hundred():
    only, both = faces(), faces("all")
    assert only.x.shape == (100, 1, 25, 25) and both.x.shape == (200, 1, 25, 25)
    assert only.x.min() >= -1 and only.x.max() <= 1 and only.y.all() and both.y.sum() == 100
    template = only.x[:50].mean(0).flatten()
    alike = [torch.corrcoef(torch.stack([template, x.flatten()]))[0, 1].item() for x in both.x[50:]]
    assert sum(r > 0.3 for r in alike[:50]) > 30  # other faces resemble the mean face,
    assert sum(r > 0.3 for r in alike[50:]) < 10  # the patches do not
    with pytest.raises(ValueError, match="'dogs'"):
        faces("dogs")


# -- IDX files -------------------------------------------------------------------------------------------


def idx(array, code, zip_=False):
    data = struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(f">{array.ndim}i", *array.shape)
    data += array.astype(array.dtype.newbyteorder(">")).tobytes()
    return gzip.compress(data) if zip_ else data


def write_mnist(folder, zip_=False, n=7):
    folder.mkdir(parents=True, exist_ok=True)
    images = np.arange(n * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(n, 28, 28)
    ending = ".gz" if zip_ else ""
    for prefix, rows in (("train", slice(None)), ("t10k", slice(2))):
        (folder / f"{prefix}-images-idx3-ubyte{ending}").write_bytes(idx(images[rows], 8, zip_))
        (folder / f"{prefix}-labels-idx1-ubyte{ending}").write_bytes(
            idx(np.arange(n, dtype=np.uint8)[rows], 8, zip_)
        )
    return torch.from_numpy(images)


@pytest.mark.parametrize("zip_", [False, True])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_mnist_from_its_files(tmp_path, zip_, below):
    images = write_mnist(tmp_path / below, zip_)
    train, test = mnist(tmp_path), mnist(tmp_path, "test")
    assert train.x.shape == (7, 1, 28, 28) and test.x.shape == (2, 1, 28, 28)
    assert torch.allclose((train.x[:, 0] + 1) * 127.5, images.float(), atol=1e-3)
    assert train.y.tolist() == list(range(7)) and test.y.dtype == torch.int64


def test_the_other_spelling_of_mnist(tmp_path):
    write_mnist(tmp_path)
    for file in list(tmp_path.iterdir()):
        file.rename(file.with_name(file.name.replace("-idx", ".idx")))
    assert len(mnist(tmp_path).x) == 7


@pytest.mark.parametrize(
    ("dtype", "code"), [("u1", 8), ("i1", 9), ("i2", 11), ("i4", 12), ("f4", 13), ("f8", 14)]
)
def test_idx_of_every_type(tmp_path, dtype, code):
    array = np.array([[1, 2, 3], [4, 5, 100]], dtype)
    (tmp_path / "a.idx").write_bytes(idx(array, code))
    read = read_idx(tmp_path / "a.idx")
    assert read.tolist() == array.tolist() and str(read.dtype).endswith(np.dtype(dtype).name)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>404</html>", "no IDX file: it begins with 3c 68 74 6d"),
        (b"", "begins with nothing"),
        (b"\0\0\x08", "no IDX file"),
        (b"PK\x08\x01\0\0\0\x01\0", "begins with 50 4b 08 01"),
        (b"\0\0\x07\x01\0\0\0\x01\0", "no IDX file"),
        (b"\0\0\x08\x03\0\0", "ends within its header"),
        (idx(np.zeros((4, 4), np.uint8), 8)[:-3], r"should hold \[4, 4\] .* holds 13 bytes"),
        (idx(np.zeros((4, 4), np.uint8), 8) + b"!", "holds 17 bytes"),
        (idx(np.zeros((40, 40), np.uint8), 8, True)[:-9], "broken gzip"),
    ],
)
def test_broken_idx_files_are_named(tmp_path, content, says):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_idx(tmp_path / "bad")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_idx(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        mnist(tmp_path / "none")
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(FileNotFoundError, match=r"no file train-images.* it has readme.txt"):
        mnist(tmp_path)
    with pytest.raises(ValueError, match="'all'"):
        mnist(tmp_path, "all")
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8), 8))
    with pytest.raises(ValueError, match=r"labels \[3\] .* do not belong together"):
        mnist(tmp_path)


# -- folders of pictures ---------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """Three pictures of 40 x 60: left red, middle green, right blue thirds of the height."""
    colours = np.zeros((60, 40, 3), np.uint8)
    colours[:20, :, 0] = colours[20:40, :, 1] = colours[40:, :, 2] = 255
    (tmp_path / "sub").mkdir()
    Image.fromarray(colours).save(tmp_path / "a.png")
    Image.fromarray(255 - colours).save(tmp_path / "sub" / "b.webp", lossless=True)
    Image.fromarray(colours[..., 0]).save(tmp_path / "c.PNG")
    return tmp_path


def test_a_folder_is_cropped_scaled_and_centred(pictures):
    folder = ImageFolder(pictures, size=8)
    assert len(folder) == 3 and [f.name for f in folder.files] == ["a.png", "c.PNG", "b.webp"]
    x = folder[0]
    assert x.shape == (3, 8, 8) and x.min() == -1 and x.max() == 1
    assert (x[1, 3:5] == 1).all() and (x[0, 3:5] == -1).all()  # the middle is green
    assert (x[0, 0] == 1).all() and (x[2, -1] == 1).all()  # red above, blue below
    close = ImageFolder(pictures, size=8, crop=16)[0]
    assert (close[1] == 1).all() and (close[0] == -1).all()
    assert folder.tensor().shape == (3, 3, 8, 8) and folder.tensor(2).shape == (2, 3, 8, 8)
    assert ImageFolder(pictures, 8, channels=1)[1].shape == (1, 8, 8)
    assert ImageFolder(pictures, 64)[0].shape == (3, 64, 64)  # larger than the square itself


def test_a_folder_is_data_for_a_game(pictures):
    folder, g = ImageFolder(pictures, size=4), torch.Generator().manual_seed(0)
    x = folder.sample(50, generator=g)
    assert x.shape == (50, 3, 4, 4)
    kinds = {tuple(row.flatten().tolist()) for row in x}
    assert len(kinds) == 3
    assert torch.equal(
        folder.sample(5, generator=g.manual_seed(1)), folder.sample(5, generator=g.manual_seed(1))
    )


def test_celeba_and_lsun_are_folders(pictures):
    Image.fromarray(np.zeros((218, 178, 3), np.uint8)).save(pictures / "000001.jpg")
    assert celeba(pictures)[0].shape == (3, 64, 64) and celeba(pictures).crop == 148
    assert lsun(pictures, size=16)[0].shape == (3, 16, 16)


def test_folders_that_cannot_be_read_say_why(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="has no pictures"):
        ImageFolder(tmp_path)
    (tmp_path / "img_align_celeba.zip").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"unpack img_align_celeba.zip first"):
        celeba(tmp_path)
    (tmp_path / "bedroom_train_lmdb").mkdir()
    (tmp_path / "bedroom_train_lmdb" / "data.mdb").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"LSUN database; unpack it with `python data.py export`"):
        lsun(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"broken.jpg cannot be read"):
        lsun(tmp_path)[0]
    with pytest.raises(ValueError, match="channels 1 or 3"):
        ImageFolder(tmp_path, channels=4)

"""Archives: honest ones come back bit for bit, hostile ones are refused before memory is taken."""

import io
import os
import re
import struct
import tracemalloc
import zipfile
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from psann._mapped import is_mapped
from psann._npz import npz_bytes, read_npz
from psann.errors import DataError
from thinning import slow, thinned


def npy(shape, descr="<f8", data=None, *, fortran=False, version=1):
    """Bytes of an .npy array whose header may lie."""
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + (data or b"")


def write_members(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@given(
    array=hnp.arrays(
        dtype=st.sampled_from(["<f8", ">f8", "<f4", ">i2", "u1", "?", "<U3", "<M8[D]", "<c16"]),
        shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    fortran=st.booleans(),
    compressed=st.booleans(),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_numpy_saves_comes_back_bit_for_bit(tmp_path, array, fortran, compressed):
    array = np.asarray(array, order="F" if fortran else "C")
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, key=array)
    content = read_npz(path)
    back = content.arrays["key"]
    assert not content.broken
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


def test_an_array_longer_than_one_chunk_comes_back_whole(tmp_path):
    array = np.random.default_rng(0).standard_normal(2_200_000)  # 17.6 MB in chunks of 16 MiB
    np.savez(tmp_path / "a.npz", key=array)
    assert np.array_equal(read_npz(tmp_path / "a.npz").arrays["key"], array)


def test_version_two_headers_are_read(tmp_path):
    data = np.arange(3.0).tobytes()
    path = write_members(tmp_path / "a.npz", [("x.npy", npy((3,), data=data, version=2))])
    assert read_npz(path).arrays["x"].tolist() == [0.0, 1.0, 2.0]


def test_a_bomb_of_zeros_is_refused_without_expanding_it(tmp_path):
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("X_train.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy((25 * 2**20,)))
        for _ in range(25):
            member.write(bytes(8 * 2**20))
    assert path.stat().st_size < 2 * 2**20
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"claims 209,715,\d+, most of them in 'X_train.npy'"):
            read_npz(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def _lying_header(path):
    write_members(path, [("X_train.npy", npy((10**6, 10**6), data=bytes(80)))])


def _wrapping_header(path):
    # 2**61 numbers of 8 bytes are 0 bytes in 64-bit arithmetic.
    write_members(path, [("X_train.npy", npy((2**61,)))])


def _more_data_than_claimed(path):
    write_members(path, [("X_train.npy", npy((2,), data=bytes(80)))])


def _duplicate(path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_members(path, [("X_train.npy", npy((0,))), ("X_train.npy", npy((0,)))])


def _object_array(path):
    np.savez(path, X_train=np.array([{"a": 1}], dtype=object))


def _encrypted(path):
    np.savez(path, X_train=np.zeros(3))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def _bzip2(path):
    write_members(path, [("X_train.npy", npy((0,)))], zipfile.ZIP_BZIP2)


def _wrong_checksum(path):
    np.savez(path, X_train=np.zeros(3))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") - 1] ^= 1  # the last byte of the data
    path.write_bytes(content)


def _text_member(path):
    write_members(path, [("readme.txt", b"hello")])


def _member(content):
    return lambda path: write_members(path, [("X_train.npy", content)])


@pytest.mark.parametrize(
    ("write", "fragment"),
    [
        (_lying_header, "X_train must be a readable array; its header claims 8,000,000,000,000"),
        (_wrapping_header, "claims 18,446,744,073,709,551,616 bytes"),
        (_more_data_than_claimed, "claims 16 bytes .* but 80 are there"),
        (_duplicate, "X_train must be in the archive once; got 2 members"),
        (_object_array, "never unpickled; convert it to numbers"),
        (_encrypted, "X_train must not be encrypted"),
        (_bzip2, "X_train must be stored or deflated; got compression method 12"),
        (_wrong_checksum, "Bad CRC-32"),
        (_text_member, "'readme.txt' must be an array"),
        (_member(b""), "does not begin as an .npy array"),
        (_member(b"\x93NUMPY\x03\x00"), "version 1.0 or 2.0"),
        (_member(b"\x93NUMPY\x01\x00\xff"), "unpack requires"),
        (_member(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), "header claims 4,294,967,295 bytes"),
        (_member(b"\x93NUMPY\x01\x00\x03\x00{[("), "header cannot be read"),
        (_member(b"\x93NUMPY\x01\x00\x00\x02" + b"[" * 512), "header cannot be read"),
        (_member(b"\x93NUMPY\x01\x00\x01\x02" + b"[" * 513), "header claims 513 bytes"),
        (_member(npy((-1,))), "not that of an array"),
        (_member(npy((True,))), "not that of an array"),
        (_member(npy((1.5,))), "not that of an array"),
        (_member(npy(())), "claims 8 bytes"),
        (_member(npy((1,) * 70, data=bytes(8))), "dimension"),
        (_member(npy((10**30, 0))), "must be a readable array"),
        (_member(npy((10**12,), descr="<U0")), "holds nothing"),
        (_member(npy((1,), descr="<f3")), "dtype '<f3' is unknown"),
        (_member(npy((1,), descr=[("a", "<f8")])), "none of numbers"),
        (_member(npy((1,), descr="|V8")), "none of numbers"),
    ],
)
def test_a_hostile_member_is_reported_with_its_key_and_reason(tmp_path, write, fragment):
    path = tmp_path / "a.npz"
    write(path)
    content = read_npz(path)
    assert not content.arrays
    (problem,) = content.broken.values()
    assert re.search(fragment, problem)


def test_a_broken_member_does_not_hide_the_others(tmp_path):
    good = npy((1,), data=struct.pack("<d", 7.0))
    path = write_members(tmp_path / "a.npz", [("bad.npy", b"?"), ("good.npy", good)])
    content = read_npz(path)
    assert list(content.broken) == ["bad"]
    assert content.arrays["good"].tolist() == [7.0]


def _folder(path):
    path.mkdir()


def _pipe(path):
    os.mkfifo(path)


def _single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _truncated(path):
    np.savez(path, X_train=np.arange(100.0))
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("write", "fragment"),
    [
        (lambda path: None, "does not exist"),
        (_folder, "is no plain file"),
        (_pipe, "is no plain file"),
        (lambda path: path.write_bytes(b""), "it does not end as an archive does"),
        (lambda path: path.write_text("a,b\n1,2\n"), "it does not end as an archive does"),
        (_single_array, "is a single .npy array"),
        (_truncated, "must be a readable .npz archive"),
    ],
)
def test_a_file_that_is_no_archive_is_refused_with_its_path(tmp_path, write, fragment):
    path = tmp_path / "a.npz"
    write(path)
    with pytest.raises(DataError, match=fragment) as caught:
        read_npz(path)
    assert str(path) in caught.value.problems[0]


def test_archives_beyond_four_gigabytes_or_65535_members_are_laid_out_otherwise_and_read(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    np.savez(tmp_path / "a.npz", a=np.ones(3), b=np.zeros(2))
    assert b"PK\x06\x06" in (tmp_path / "a.npz").read_bytes()
    assert list(read_npz(tmp_path / "a.npz").arrays) == ["a", "b"]


@pytest.mark.parametrize(("n_values", "limit"), thinned(product(range(9), [1, 2**16 - 1]), every=3))
def test_nothing_may_follow_an_archive_or_an_array_in_it(tmp_path, monkeypatch, n_values, limit):
    """After archives of all lengths modulo 8; the end is said in two ways."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", limit)
    path, content = tmp_path / "a.npz", npy((n_values,), data=bytes(n_values), descr="|u1")
    whole = write_members(path, [("a.npy", content), ("b.npy", content)]).read_bytes()
    assert set(read_npz(path).arrays) == {"a", "b"}
    for more in range(1, 25):
        for hidden in (bytes(more), b"x" * more):
            for longer in (
                whole + hidden,
                whole[:-2] + struct.pack("<H", more) + hidden,  # as a comment
            ):
                path.write_bytes(longer)
                with pytest.raises(DataError, match="it does not end as an archive does"):
                    read_npz(path)
            write_members(path, [("a.npy", content + hidden), ("b.npy", content)])
            assert list(read_npz(path).broken) == ["a"]


def test_a_file_without_read_permission_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros(1))

    def denied(path, flags):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(DataError, match="Permission denied"):
        read_npz(path)


ORIGINAL = {"X_train": np.arange(12.0).reshape(4, 3), "y": np.arange(4, dtype=">i4")}


@pytest.mark.parametrize("n", [50, slow(200)])
def test_damaged_bytes_are_refused_or_change_nothing_that_was_saved(tmp_path, n):
    settings(max_examples=n, deadline=None)(_damaged_is_refused_or_the_same)(tmp_path)


@given(data=st.data(), compressed=st.booleans())
def _damaged_is_refused_or_the_same(tmp_path, data, compressed):
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **ORIGINAL)
    content = bytearray(buffer.getvalue())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    try:
        read = read_npz(path)
    except DataError:
        return
    for key, array in read.arrays.items():
        # A flipped letter in a name makes another key; the checksum guards the numbers.
        original = ORIGINAL.get(key)
        if original is not None:
            assert np.array_equal(array, original)


def test_the_same_arrays_make_the_same_bytes_and_come_back(tmp_path):
    arrays = {
        "text": np.array(["a", "bcd"]),
        "numbers": np.arange(6.0).reshape(2, 3),
        "turned": np.arange(6, dtype=">f8").reshape(2, 3).T,
        "nothing": np.empty((0, 3)),
    }
    data = npz_bytes(arrays)
    assert data == npz_bytes({key: array.copy() for key, array in arrays.items()})
    (tmp_path / "a.npz").write_bytes(data)
    content = read_npz(tmp_path / "a.npz")
    assert list(content.arrays) == list(arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(content.arrays[key], array)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["text"].tolist() == ["a", "bcd"]


def test_objects_are_never_written():
    with pytest.raises(ValueError, match="Object arrays"):
        npz_bytes({"objects": np.array([{}], dtype=object)})


def as_mapped(path, **arrays):
    np.savez(path, **arrays)
    return read_npz(path, mmap=True).arrays


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mapped_arrays_are_those_that_are_read(tmp_path, dtype):
    arrays = {"X_train": np.arange(15, dtype=dtype).reshape(5, 3), "y": np.ones(4, dtype)}
    mapped = as_mapped(tmp_path / "a.npz", **arrays)
    for key, array in arrays.items():
        assert is_mapped(mapped[key]) and not mapped[key].flags.writeable
        assert mapped[key].dtype == dtype and np.array_equal(mapped[key], array)


@pytest.mark.parametrize(
    "array",
    [np.asfortranarray(np.ones((3, 2))), np.ones(3, ">f8"), np.arange(3), np.zeros((0, 4))],
    ids=["columns first", "other bytes", "integers", "empty"],
)
def test_what_cannot_be_used_as_it_lies_is_read(tmp_path, array):
    read = as_mapped(tmp_path / "a.npz", x=array)["x"]
    assert not is_mapped(read) and np.array_equal(read, array)


def test_compressed_members_are_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.ones(3))
    assert not is_mapped(read_npz(tmp_path / "a.npz", mmap=True).arrays["x"])


def test_a_flipped_bit_is_found_in_a_mapped_member_too(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros(1000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for mmap in (False, True):
        assert "CRC" in read_npz(path, mmap=mmap).broken["x"]


def test_a_member_that_claims_too_much_is_not_mapped(tmp_path):
    path = write_members(tmp_path / "a.npz", [("x.npy", npy((1000,), data=b"\0" * 80))])
    content = read_npz(path, mmap=True)
    assert "claims 8,000 bytes" in content.broken["x"] and not content.arrays

#!/usr/bin/env python3
"""A second, independent checker of what Moneta signs: checkpoints, proofs of records, logs of tiles, whole stores.

It shares no code and no language with Moneta, needs the standard library and `cryptography` (Ed25519) only, and is
short enough to be read before it is trusted. Formats: C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof;
RFC 6962 hashes; Moneta's record, block header and proof files as docs/formats/README.md lists them.

    verify.py checkpoint FILE --key KEY [--origin ORIGIN]
    verify.py proof FILE... --key KEY             record proofs, as `moneta prove` writes them, one or several in a file
    verify.py log DIR --key KEY [--origin ORIGIN] every tile and entry under the checkpoint of one log
    verify.py store DIR --key KEY                 root log, shard logs, block headers, segment files of a data directory

KEY is a verifier key or a file that holds one. Says one line for each file; exit code 0 all valid, 1 not, 2 unusable.
It does not read rows inside Parquet files and the journal, which `moneta-verify` does.
"""
import argparse, base64, collections, datetime, hashlib, json, pathlib, re, struct, sys  # noqa: E401 (short, to be read whole)

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Key = collections.namedtuple("Key", "name id public")
Header = collections.namedtuple("Header", "shard index first_seq num_rows record_root previous hash")
# Bytes of a value: bool, int, long, real, decimal, string, datetime, timespan, dynamic, guid.
SIZES = {1: 1, 2: 4, 3: 8, 4: 8, 5: 16, 6: None, 7: 8, 8: 8, 9: None, 10: None}

class Invalid(Exception):
    """Something is not as it was signed."""

def need(condition, problem):
    if not condition:
        raise Invalid(problem)
def sha256(data):
    return hashlib.sha256(data).digest()
def leaf_hash(data):
    return sha256(b"\0" + data)
def node_hash(left, right):
    return sha256(b"\x01" + left + right)

def root_of(leaves):
    """RFC 6962, section 2.1: the left part is the largest power of two below the number of leaves."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))

def root_by_path(leaf, index, size, path):
    """RFC 9162, section 2.1.3.2."""
    node, last, result = index, size - 1, leaf
    need(index < size, "the index is outside the tree")
    for sibling in path:
        need(last > 0, "the path is too long")
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    need(last == 0, "the path is too short")
    return result

def unbase64(text, length=None):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 with loose ends")
    need(length in (None, len(data)), "a hash or key of another length")
    return data
def number(text):
    need(re.fullmatch(r"0|[1-9][0-9]{0,19}", text, re.ASCII) and int(text) < 1 << 64, f"{text[:40]!r} is not a number")
    return int(text)

def read_key(text):
    if "+" not in text or pathlib.Path(text).is_file():
        text = pathlib.Path(text).read_text().strip()
    name, key_id, typed = text.split("+", 2)
    typed = unbase64(typed, 33)
    need(typed[0] == 1 and sha256(name.encode() + b"\n" + typed)[:4].hex() == key_id.lower(), "that is no verifier key")
    return Key(name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(typed[1:]))

def open_note(note, key):
    """The text of a signed note, whose lines of that key must all be right."""
    cut = note.rfind("\n\n")
    need(cut >= 0 and note.endswith("\n"), "that is no signed note")
    text, signed = note[: cut + 1], False
    need(not re.search("[\x00-\x09\x0b-\x1f]", text), "the note has control characters")
    for line in note[cut + 2 : -1].split("\n"):
        match = re.fullmatch("\u2014 ([^\\s+]+) (\\S+)", line)
        need(match, "a signature line is malformed")
        blob = unbase64(match[2])
        need(len(blob) > 4, "a signature is too short")
        if match[1] == key.name and blob[:4] == key.id:
            try:
                key.public.verify(blob[4:], text.encode())
            except InvalidSignature:
                raise Invalid("the signature is wrong") from None
            signed = True
    need(signed, "the key did not sign it")
    return text

def open_checkpoint(note, origin, key):
    lines = open_note(note, key)[:-1].split("\n")
    need(len(lines) >= 3 and all(lines), "that is no checkpoint")
    need(lines[0] == origin, f"it is of the log {lines[0]!r}, not {origin!r}")
    return number(lines[1]), unbase64(lines[2], 32)

class Bytes:
    """Bytes that are read from the front."""
    def __init__(self, data):
        self.data = data
    def take(self, length):
        taken, self.data = self.data[:length], self.data[length:]
        need(len(taken) == length, "it ends too early")
        return taken
    def unpack(self, form):
        values = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
        return values if len(values) > 1 else values[0]

def read_header(data):
    body = Bytes(data)
    need(body.take(5) == b"MBLK\x01", "that is no block header of version 1")
    body.take(16)
    table = body.take(body.unpack("B")).decode("ascii")
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=body.unpack("i"))
    index, first_seq, num_rows = body.unpack("QQI")
    body.take(24)
    record_root, _, _, *delivery = body.unpack("32s32sIIII")
    previous = body.take(32)
    need(not body.data and 1 <= num_rows <= 8192 and sum(delivery) == num_rows, "the numbers of a block header disagree")
    return Header(f"{table}/{day}", index, first_seq, num_rows, record_root, previous, sha256(data))

def read_record(data):  # type and bytes of each field, by name
    body, before, fields = Bytes(data), None, {}
    need(body.unpack("B") == 1, "that is no record of version 1")
    for _ in range(body.unpack("H")):
        name = body.take(body.unpack("H"))
        kind, length = body.unpack("BI")
        need(before is None or before < name, "the fields of a record are not in order")
        need(kind in SIZES and SIZES[kind] in (None, length), "a field of a record has no such type or length")
        fields[name.decode()], before = (kind, body.take(length)), name
    need(not body.data, "bytes after the record")
    return fields

def read_entry(data):
    """A root log entry, which has exactly one spelling."""
    entry = json.loads(data)
    need(json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode() == data, "a root entry is spelled in another way")
    need(entry["v"] == 1, "a root entry has another version")
    return entry

def shards_of(tick):
    return {shard: (size, unbase64(root, 32)) for shard, size, root in tick["shards"]}

def check_tlog_proof(lines, entry, key):
    """The size and root of the checkpoint that an entry is under."""
    need(next(lines, "") == "c2sp.org/tlog-proof@v1", "that is no tlog-proof")
    line = next(lines, "")
    if line.startswith("extra "):
        line = next(lines, "") if unbase64(line[6:]) is not None else ""
    need(line.startswith("index "), "the tlog-proof has no index")
    path = [unbase64(hash_line, 32) for hash_line in iter(lambda: next(lines, ""), "")]
    size, root = open_checkpoint("\n".join(lines), key.name, key)
    need(root_by_path(leaf_hash(entry), number(line[6:]), size, path) == root, "the entry is not in the root log")
    return size, root

def check_proof(text, key):  # table, _Seq, fields and checkpoint of the row that is proved
    lines = iter(text.split("\n"))
    def field(name):
        line = next(lines, "")
        need(line.startswith(name), f"a line {name!r} is missing")
        return line[len(name) :]
    def path():
        return [unbase64(line, 32) for line in iter(lambda: next(lines, ""), "")]
    need(next(lines) == "moneta record-proof v1", "that is no record proof")
    record, index, record_path = unbase64(field("record ")), number(field("index ")), path()
    fields = read_record(record)
    header_bytes = unbase64(field("header "))
    header = read_header(header_bytes)
    root = root_by_path(leaf_hash(record), index, header.num_rows, record_path)
    need(root == header.record_root, "the record is not in the block")
    need(field("moneta-block-proof@1") == "", "that is no block proof")
    shard, block_index, size, block_path = field("shard "), number(field("index ")), number(field("size ")), path()
    need((shard, block_index) == (header.shard, header.index), "the block proof is for another block")
    tick_bytes = unbase64(field("tick "))
    checkpoint = check_tlog_proof(lines, tick_bytes, key)
    tick = read_entry(tick_bytes)
    listed = shards_of(tick).get(shard) if tick["type"] == "tick" else None
    need(listed and listed[0] == size, "the tick does not list the shard at that size")
    need(root_by_path(leaf_hash(header_bytes), block_index, size, block_path) == listed[1], "the block is not in its shard")
    return header.shard.split("/")[0], header.first_seq + index, fields, checkpoint

def tile_bytes(directory, tile_number, width, length_of):
    """A tile, or the beginning of a wider one: of the last tile only the newest width is kept."""
    parts = re.findall("...", f"{tile_number:0{-(-len(str(tile_number)) // 3) * 3}d}")
    full = directory.joinpath(*["x" + part for part in parts[:-1]], parts[-1])
    partial = full.with_name(full.name + ".p")
    widths = sorted(int(file.name) for file in partial.glob("*") if file.name.isdigit() and int(file.name) >= width)
    file = partial / str(widths[0]) if widths and not full.is_file() else full
    data = file.read_bytes()
    length = length_of(data, width)
    need(len(data) == length or len(data) > length and file.name != str(width), f"{file} has another length")
    return data[:length]

def bundle_length(data, width):
    body = Bytes(data)
    for _ in range(width):
        body.take(int.from_bytes(body.take(2), "big"))
    return len(data) - len(body.data)

def check_log(directory, size, root):
    """The entries of a log, after each tile was made again from them."""
    entries = []
    for tile in range(-(-size // 256)):
        width = min(256, size - tile * 256)
        body = Bytes(tile_bytes(directory / "tile/entries", tile, width, bundle_length))
        entries += [body.take(int.from_bytes(body.take(2), "big")) for _ in range(width)]
    hashes = [leaf_hash(entry) for entry in entries]
    need(root_of(hashes) == root, f"{directory}: the entries are not those signed for")
    level = 0
    while hashes:
        for tile in range(-(-len(hashes) // 256)):
            expected = b"".join(hashes[tile * 256 : tile * 256 + 256])
            stored = tile_bytes(directory / f"tile/{level}", tile, len(expected) // 32, lambda _, width: width * 32)
            need(stored == expected, f"{directory}: tile {tile} of level {level} is not that of the entries")
        hashes = [root_of(hashes[at : at + 256]) for at in range(0, len(hashes) - 255, 256)]
        level += 1
    return entries

def check_store(data, key):
    size, root = open_checkpoint((data / "ledger/root/checkpoint").read_text(), key.name, key)
    entries, shards, dropped, segments, gone = check_log(data / "ledger/root", size, root), {}, set(), {}, {}
    if (data / "ledger/root/cosigned").exists():
        known, known_root = open_checkpoint((data / "ledger/root/cosigned").read_text(), key.name, key)
        need(known <= size and root_of([leaf_hash(entry) for entry in entries[:known]]) == known_root, "the root log does not continue the tree that witnesses know")
    for entry in map(read_entry, entries):
        if entry["type"] == "tick":
            shards.update(shards_of(entry))
        elif entry["type"] == "segment-sealed":
            segments[entry["object"][0]] = (entry["shard"], entry["object"], entry["start"], entry["end"])
        elif entry["type"] == "segment-reencoded":
            for path, *_ in entry["old"]:
                segments.pop(path, None)
            segments[entry["new"][0]] = (entry["shard"], entry["new"], entry["start"], entry["end"])
        elif entry["type"] == "retention-drop":
            dropped.add(entry["shard"])
            shards.pop(entry["shard"], None)
            table = entry["shard"].split("/")[0]
            gone.setdefault(table, {}).update((start, end) for shard, _, start, end in segments.values() if shard == entry["shard"])
    segments = {path: segment[1] for path, segment in segments.items() if segment[0] not in dropped}
    previous = {}
    for shard, (shard_size, shard_root) in sorted(shards.items()):
        directory, table = data / "ledger/shard" / shard, shard.split("/")[0]
        own_size, _ = open_checkpoint((directory / "checkpoint").read_text(), f"{key.name}/shard/{shard}", key)
        need(own_size >= shard_size, f"{directory}: its checkpoint is older than the root log")
        for index, header in enumerate(map(read_header, check_log(directory, shard_size, shard_root))):
            need((header.shard, header.index) == (shard, index), f"{directory}: entry {index} is another block's header")
            seq, last = previous.get(table, (0, bytes(32)))
            while seq != header.first_seq and seq in gone.get(table, {}):
                seq, last = gone[table][seq], header.previous  # of dropped rows only their numbers are left
            need(header.first_seq == seq, f"{directory}: rows are missing before entry {index}, and no drop entry says why")
            need(header.previous == last, f"{directory}: the chain is broken before entry {index}")
            previous[table] = (seq + header.num_rows, header.hash)
    for path, length, digest in segments.values():
        content = (data / "store" / path).read_bytes()
        need(len(content) == length and sha256(content) == unbase64(digest, 32), f"store/{path} is not the file signed for")
    return f"{size} root entries, {len(shards)} shards, {sum(shard_size for shard_size, _ in shards.values())} blocks, {len(segments)} segment files, {len(dropped)} shards dropped by policy"

def check(arguments, path, key):
    if arguments.what == "proof":
        proved = (check_proof(proof, key) for proof in re.split(r"(?<=\n)(?=moneta record-proof v1\n)", path.read_bytes().decode()))
        return "; ".join(f"row _Seq {seq} of {table}, under the root checkpoint of {size} entries" for table, seq, _, (size, _) in proved)
    if arguments.what == "store":
        return check_store(path, key)
    size, root = open_checkpoint((path / "checkpoint" if arguments.what == "log" else path).read_bytes().decode(), arguments.origin or key.name, key)
    if arguments.what == "log":
        check_log(path, size, root)
    return f"{size} entries, root {root.hex()}"

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["checkpoint", "proof", "log", "store"])
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    parser.add_argument("--key", required=True)
    parser.add_argument("--origin")
    arguments = parser.parse_args()
    try:
        key = read_key(arguments.key)
    except (OSError, ValueError, Invalid) as error:
        print(f"could not check: {arguments.key}: {error}", file=sys.stderr)
        return 2
    all_valid = True
    for path in arguments.paths:
        try:
            print(f"valid: {path}: {check(arguments, path, key)}")
        except (Invalid, OSError, ValueError, KeyError, TypeError, OverflowError, struct.error) as error:
            print(f"NOT VALID: {path}: {error}")
            all_valid = False
    return 0 if all_valid else 1

if __name__ == "__main__":
    sys.exit(main())

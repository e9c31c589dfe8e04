#!/usr/bin/env python3
"""Checks what `moneta store export` writes, with the functions of verify.py beside it.

    verify_export.py DIR --key KEY

Every proof leads to the one signed checkpoint; the headers of every day are those signed for, dense and chained, with a
drop entry where days are gone; every segment file has the SHA-256 that was signed; and no block with an event of the
exported range is without a segment. A drop entry names a day, not its rows: that all rows missing between two days were
of the dropped days is in the root log, not in an export. The rows inside the Parquet files are `moneta-verify export`'s to compare.
"""
import argparse, datetime, pathlib, struct, sys  # noqa: E401 (short, to be read whole)

from verify import Bytes, Invalid, check_tlog_proof, leaf_hash, need, number, open_checkpoint, read_entry, read_header
from verify import read_key, root_of, sha256, shards_of, unbase64

def nanos(text):
    """Nanoseconds since 1970 of a time as Moneta writes it."""
    seconds = datetime.datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    return int(seconds) * 10**9 + int(text[20:-1].ljust(9, "0"))

def event_times(header):
    """The earliest and the latest event time in the bytes of a block header."""
    body = Bytes(header[21:])
    body.take(body.unpack("B") + 4 + 8 + 8 + 4 + 8)
    return body.unpack("qq")

def read_proof(file, key, checkpoint):
    lines = iter(file.read_text().split("\n"))
    need(next(lines, "") == "moneta-entry-proof@1", f"{file} is no entry proof")
    line = next(lines, "")
    need(line.startswith("entry "), f"{file} has no entry")
    entry = unbase64(line[6:])
    need(check_tlog_proof(lines, entry, key) == checkpoint, f"{file} leads to another checkpoint")
    return read_entry(entry)

def read_headers(day, shard, key, checkpoint):
    """The bytes of the headers of a day, which are those of its newest tick."""
    body, headers = Bytes((day / "headers").read_bytes()), []
    while body.data:
        headers.append(body.take(int.from_bytes(body.take(2), "big")))
    size, root = shards_of(read_proof(day / "head.proof", key, checkpoint))[shard]
    need(len(headers) == size and root_of([leaf_hash(header) for header in headers]) == root, f"{day}: the headers are not those signed for")
    return headers

def check_segments(directory, headers, key, checkpoint):
    """The ranges of rows that the segment files of a day hold."""
    held = []
    for file in sorted(directory.glob("*.parquet")):
        entry = read_proof(file.with_name(file.name + ".proof"), key, checkpoint)
        path, length, digest = entry["object" if entry["type"] == "segment-sealed" else "new"]
        need(str(file).endswith("store/" + path), f"{file}: its proof is of {path}")
        content = file.read_bytes()
        need(len(content) == length and sha256(content) == unbase64(digest, 32), f"{file} is not the file signed for")
        own = [leaf_hash(raw) for raw in headers if entry["start"] <= read_header(raw).first_seq < entry["end"]]
        need(root_of(own) == unbase64(entry["blocks"], 32), f"{file}: its blocks are not those of the day")
        held.append((entry["start"], entry["end"]))
    return held

def check_export(root, key):
    fields = dict(line.split(" ", 1) for line in (root / "manifest").read_text().splitlines()[1:])
    need((root / "manifest").read_text().startswith("moneta export v1\n"), "that is no export of version 1")
    table, sealed = fields["table"], number(fields["sealed"])
    earliest, latest = (None if fields[name] == "-" else nanos(fields[name]) for name in ("from", "to"))
    checkpoint = open_checkpoint((root / "checkpoint").read_text(), key.name, key)
    seq, last, dropped, rows, gone = 0, bytes(32), False, 0, []
    for day in sorted((root / "shard").iterdir()):
        shard = f"{table}/{day.name}"
        if (day / "drop.proof").exists():
            entry = read_proof(day / "drop.proof", key, checkpoint)
            need((entry["type"], entry["shard"]) == ("retention-drop", shard), f"{day}: that is not its drop entry")
            dropped = True
            continue
        headers = read_headers(day, shard, key, checkpoint)
        held = check_segments(root / "store" / shard, headers, key, checkpoint)
        for index, raw in enumerate(headers):
            header = read_header(raw)
            need((header.shard, header.index) == (shard, index), f"{day}: entry {index} is another block's header")
            is_next = (header.first_seq, header.previous) == (seq, last)
            need(is_next or dropped and header.first_seq > seq, f"{day}: rows are missing before entry {index}, and no drop entry says why")
            gone += [] if is_next else [f"{seq} to {header.first_seq}"]
            seq, last, dropped = header.first_seq + header.num_rows, header.hash, False
            first, end = event_times(raw)
            is_wanted = header.first_seq < sealed and (earliest is None or earliest <= end) and (latest is None or first <= latest)
            is_there = any(start <= header.first_seq and seq <= stop for start, stop in held)
            need(is_there or not is_wanted, f"{day}: {header.num_rows} rows of the range from _Seq {header.first_seq} on are missing")
            rows += header.num_rows * is_wanted
    left_out = f"; rows from _Seq {sealed} on came while it was made" if seq > sealed else ""
    left_out += f"; rows _Seq {', '.join(gone)} are gone with days dropped by policy; that all were of those days is in the root log" if gone else ""
    return f"{rows} rows of {table} under the root checkpoint of {checkpoint[0]} entries{left_out}"

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--key", required=True)
    arguments = parser.parse_args()
    try:
        print(f"valid: {arguments.directory}: {check_export(arguments.directory, read_key(arguments.key))}")
    except (Invalid, OSError, ValueError, KeyError, TypeError, OverflowError, struct.error) as error:
        print(f"NOT VALID: {arguments.directory}: {error}")
        return 1
    return 0

if __name__ == "__main__":
    sys.exit(main())

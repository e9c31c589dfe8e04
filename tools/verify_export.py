#!/usr/bin/env python3
"""Checks what `moneta store export` writes, with the functions of verify.py beside it.

    verify_export.py DIR --key KEY

Every proof leads to the one signed checkpoint; the headers of every day are those signed for, dense and chained, with a
drop entry where days are gone; every segment file has the SHA-256 that was signed; and no block with an event of the
exported range is without a segment. A drop entry names a day, not its rows: that all rows missing between two days were
of the dropped days is in the root log, not in an export. The rows inside the Parquet files are `moneta-verify export`'s to compare.

Of an incident (`--case`): every version, alert, event and audit row is proved by itself, each alert that the versions name and
each event that an alert names is there, or proofs show that its day was dropped by policy; what else is missing is named.

Exit code 0 valid, 1 not, 2 what is there is valid, and something is missing that nothing accounts for.
"""
import argparse, datetime, json, pathlib, re, struct, sys  # noqa: E401 (short, to be read whole)

from verify import Bytes, Invalid, check_proof, check_tlog_proof, leaf_hash, need, number, open_checkpoint, read_entry
from verify import read_header, read_key, root_of, sha256, shards_of, unbase64

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

def text_of(fields, name):
    kind, data = fields.get(name, (6, b""))
    return data.decode() if kind in (6, 9, 10) else ""

def json_of(fields, name, kind):
    """What a field holds in JSON, if it is of that kind; else nothing of that kind."""
    try:
        value = json.loads(text_of(fields, name))
    except ValueError:
        return kind()
    return value if isinstance(value, kind) else kind()

def is_seq(value):
    return type(value) is int and 0 <= value < 1 << 64

def named_events(alert):
    """Table and `_Seq` of the stored rows that an alert names: those that it lists with their fields, then those it only names."""
    listed = [(event.get("table"), event.get("seq")) for event in json_of(alert, "Events", list) if isinstance(event, dict)]
    listed = [(table, seq) for table, seq in listed if isinstance(table, str) and is_seq(seq)]
    def seqs(value):
        return value if isinstance(value, list) and all(map(is_seq, value)) else None
    by_table = json_of(alert, "ExtendedProperties", dict).get("Event Seqs By Table")
    if not isinstance(by_table, dict) or any(seqs(value) is None for value in by_table.values()):
        by_table = {text_of(alert, "EventTable"): seqs(json_of(alert, "EventSeqs", list)) or []}
    is_unclear = len(by_table) == 1 and any(table not in by_table for table, _ in listed)
    named = [] if is_unclear else [(table, seq) for table in sorted(by_table) if table for seq in by_table[table]]
    return {(table, seq) for table, seq in list(dict.fromkeys(listed + named))[:1000] if table != "QueryResult"}

def read_manifest(root):
    """Number of the incident, hash and length of the files by path, and what is missing."""
    manifest = (root / "manifest").read_bytes().decode()
    lines = manifest.split("\n")
    need(lines[0] == "moneta case v1" and lines[1].startswith("incident ") and lines.pop() == "", "that is no manifest of a case")
    files, missing = {}, set()
    for line in lines[2:]:
        kind, rest = line.split(" ", 1)
        need(kind in ("file", "missing"), f"{line[:80]!r} is no line of a manifest")
        if kind == "file":
            digest, length, path = rest.split(" ", 2)
            files[path] = digest, number(length)
        elif rest.startswith("event "):
            _, why, seq, table = rest.split(" ", 3)
            need(why in ("dropped", "never-stored", "too-long"), f"{why!r} is no reason")
            missing.add(("event", why, json.loads(table), number(seq)))
        elif rest.startswith("alert no-row "):
            missing.add(("alert", json.loads(rest[13:])))
        else:
            need(rest.startswith("versions before "), f"{line[:80]!r} is no line of a manifest")
            missing.add(("versions", number(rest[16:])))
    need(len(files) + len(missing) == len(lines) - 2, "the manifest says something twice")
    return number(lines[1][9:]), files, missing

class Case:
    """What the files of a case prove."""
    def __init__(self, root, key):
        self.root, self.key, self.versions, self.alerts, self.audits = root, key, {}, {}, 0
        self.events, self.absent, self.drops, self.ranges = set(), set(), {}, []
        self.incident, self.files, self.missing = read_manifest(root)
        self.checkpoint = open_checkpoint((root / "checkpoint").read_text(), key.name, key)

    def check_list(self):
        """The files are those that the manifest lists."""
        there = {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if not path.is_dir()}
        there -= {"manifest", "manifest.proof"}
        need(there == set(self.files), f"the manifest and the directory differ in {', '.join(sorted(there ^ set(self.files)))[:400]}")
        for path, listed in self.files.items():
            content = (self.root / path).read_bytes()
            need((sha256(content).hex(), len(content)) == listed, f"{path} is not the file that the manifest lists")
        if "ledger.vkey" in self.files:
            own = read_key(str(self.root / "ledger.vkey"))
            raw = [one.public.public_bytes_raw() for one in (own, self.key)]
            need(own.name == self.key.name and raw[0] == raw[1], "ledger.vkey is not the key of this check")

    def check_exported(self):
        """An audit row says that this very manifest was exported: by whom and with which hash."""
        table, _, fields, _ = check_proof((self.root / "manifest.proof").read_text(), self.key)
        own = [text_of(fields, name) for name in ("Action", "ObjectKind", "ObjectName")]
        need(table == "MonetaAudit" and own == ["store.export", "incident", str(self.incident)], "manifest.proof is of something else")
        hash_of = json_of(fields, "Details", dict).get("manifest_sha256")
        need(hash_of == sha256((self.root / "manifest").read_bytes()).hex(), "the manifest is not the one that was exported")
        return text_of(fields, "ActorName")

    def rows(self, path):
        """Table, `_Seq` and fields of each record proof in a file; its name is the `_Seq` of the first."""
        rows = []
        for proof in re.split(r"(?<=\n)(?=moneta record-proof v1\n)", (self.root / path).read_text()):
            *row, checkpoint = check_proof(proof, self.key)
            need(checkpoint == self.checkpoint, f"{path} leads to another checkpoint")
            rows.append(row)
        need(path.split("/")[1:] == [str(rows[0][1])], f"{path} proves row _Seq {rows[0][1]}")
        return rows

    def read(self, path):
        kind, *names = path.split("/")
        if kind == "dropped":
            return self.read_dropped(path, *names)
        need(kind in ("incident", "alert", "audit"), f"{path} is no file of a case")
        (table, seq, fields), *others = self.rows(path)
        if kind == "alert":
            named, proved = named_events(fields), [tuple(row[:2]) for row in others]
            name = text_of(fields, "SystemAlertId")
            need(table == "SecurityAlert" and name not in self.alerts, f"{path} is no alert, or is there twice")
            need(len(set(proved)) == len(proved) and set(proved) <= named, f"{path} has rows that the alert does not name")
            self.alerts[name] = seq
            self.events |= set(proved)
            self.absent |= named - set(proved)
        elif kind == "incident":
            own = [text_of(fields, name) for name in ("_Class", "ProviderName", "_Source", "_Raw", "ProviderIncidentId")]
            need(table == "SecurityIncident" and not others, f"{path} is no version of an incident")
            need(own == ["processed", "Moneta", "incidents", "", str(self.incident)], f"{path} is of another incident")
            self.versions[seq] = fields
        else:
            about = [text_of(fields, name) for name in ("ObjectKind", "ObjectName")]
            need(table == "MonetaAudit" and not others and about == ["incident", str(self.incident)], f"{path} is not about the incident")
            self.audits += 1

    def read_dropped(self, path, table, day, name):
        entry = read_proof(self.root / path, self.key, self.checkpoint)
        need(entry.get("shard") == f"{table}/{day}", f"{path} is of another day")
        if name == "drop.proof":
            need(entry["type"] == "retention-drop", f"{path} is not a drop entry")
            self.drops[entry["shard"]] = entry["policy"]
        else:
            need(entry["type"] in ("segment-sealed", "segment-reencoded"), f"{path} names no rows")
            need(name == f"{entry['start']}-{entry['end']}.proof", f"{path} is of other rows")
            self.ranges.append((table, entry["start"], entry["end"], entry["shard"]))

    def check_missing(self):
        """What should be here and is not is what the manifest names: rows gone by day, and what nothing accounts for."""
        names = {text_of(fields, "IncidentName") for fields in self.versions.values()}
        need(len(names) == 1, "the versions are not of one incident")
        ids = {name for fields in self.versions.values() for name in json_of(fields, "AlertIds", list)}
        need(set(self.alerts) <= ids, "an alert is none of the incident")
        first = min(self.versions)
        begins = json_of(self.versions[first], "AdditionalData", dict).get("version"), len(json_of(self.versions[first], "AlertIds", list))
        reasons = {(one[2], one[3]): one[1] for one in self.missing if one[0] == "event"}
        expected = {("event", reasons.get(place, "?"), *place) for place in self.absent} | {("alert", name) for name in ids - set(self.alerts)}
        expected |= set() if begins == (1, 1) else {("versions", first)}
        need(self.missing == expected, f"the manifest does not name what is missing: {sorted(map(str, self.missing ^ expected))[:10]}")
        gone = {}
        for (table, seq), why in reasons.items():
            days = [day for of, start, end, day in self.ranges if of == table and start <= seq < end and day in self.drops]
            need(why != "dropped" or days, f"no drop entry shows that row _Seq {seq} of {table} was dropped")
            if why == "dropped":
                gone[days[0]] = gone.get(days[0], 0) + 1
        return gone, sorted((one for one in self.missing if one[:2] != ("event", "dropped")), key=str)

def check_case(root, key):
    """A sentence that says what is proved, and whether something is missing that nothing accounts for."""
    case = Case(root, key)
    for path in case.files:
        if path not in ("checkpoint", "ledger.vkey"):
            case.read(path)
    gone, missing = case.check_missing()
    case.check_list()
    actor, last = case.check_exported(), case.versions[max(case.versions)]
    said = f"incident {case.incident} {text_of(last, 'Title')!r} ({text_of(last, 'Status')}): {len(case.versions)} versions, "
    said += f"{len(case.alerts)} alerts, {len(case.events)} events, {case.audits} audit rows are proved, under the root checkpoint of "
    said += f"{case.checkpoint[0]} entries; exported by {actor!r}"
    said += "".join(f"; {count} rows of {day} went by policy ({case.drops[day]}): proved" for day, count in sorted(gone.items()))
    said += "".join(f"; MISSING, and nothing proves why: {' '.join(map(str, one))}" for one in missing[:20])
    return said + (f"; {len(missing) - 20} more" if len(missing) > 20 else ""), not missing

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--key", required=True)
    arguments = parser.parse_args()
    root, is_complete = arguments.directory, True
    try:
        key = read_key(arguments.key)
        if (root / "manifest").read_bytes().startswith(b"moneta case v1\n"):
            said, is_complete = check_case(root, key)
        else:
            said = check_export(root, key)
    except (Invalid, OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error) as error:
        print(f"NOT VALID: {root}: {error}")
        return 1
    print(f"{'valid' if is_complete else 'valid, NOT COMPLETE'}: {root}: {said}")
    return 0 if is_complete else 2

if __name__ == "__main__":
    sys.exit(main())

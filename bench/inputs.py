"""Generated inputs. The same seed gives the same bytes but for their times. Two lanes: `plain`, where values repeat as
in real logs, and `random`, where a third of every record is new, so that compression is not flattered."""

import datetime
import json
import random

HOSTS = [f"ws{number:03}.corp.example" for number in range(200)]
USERS = [f"user{number:03}" for number in range(500)]
PROGRAMS = [
    (r"C:\Windows\System32\svchost.exe", r"svchost.exe -k netsvcs -p -s Schedule", r"C:\Windows\System32\services.exe"),
    (r"C:\Windows\System32\conhost.exe", r"\??\C:\Windows\system32\conhost.exe 0xffffffff", r"C:\Windows\System32\cmd.exe"),
    (r"C:\Program Files\Editor\editor.exe", r'"C:\Program Files\Editor\editor.exe" {}.txt', r"C:\Windows\explorer.exe"),
    (r"C:\Program Files\Browser\browser.exe", r"browser.exe --type=renderer --id={}", r"C:\Program Files\Browser\browser.exe"),
    (r"C:\Windows\System32\taskhostw.exe", r"taskhostw.exe Install $(Arg0)", r"C:\Windows\System32\svchost.exe"),
    (r"C:\Program Files\Backup\agent.exe", r"agent.exe --job {} --quiet", r"C:\Windows\System32\services.exe"),
]
DAEMONS = ["sshd", "cron", "systemd", "kernel", "postfix/smtpd", "nginx"]
MESSAGES = [
    "Accepted publickey for {user} from 10.{a}.{b}.{c} port {port} ssh2",
    "Failed password for invalid user {user} from 10.{a}.{b}.{c} port {port} ssh2",
    "pam_unix(cron:session): session opened for user {user}(uid={port}) by (uid=0)",
    "Started session-{port}.scope - Session {port} of User {user}.",
    "connect from client{a}.example[10.{a}.{b}.{c}]",
    'upstream timed out while reading response header, client: 10.{a}.{b}.{c}, request: "GET /item/{port} HTTP/1.1"',
]


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def stamp(number: int, count: int, end: datetime.datetime) -> str:
    """Times spread over the hour before `end`, in order."""
    time = end - datetime.timedelta(seconds=3_600 * (count - number) / count)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def syslog_lines(count: int, seed: int = 1, lane: str = "plain") -> list[bytes]:
    """RFC 5424 messages with line ends, 100 to 200 bytes each."""
    pick, end, lines = random.Random(seed), now(), []
    for number in range(count):
        address = {"a": pick.randrange(4), "b": pick.randrange(16), "c": pick.randrange(256)}
        message = pick.choice(MESSAGES).format(user=pick.choice(USERS), port=pick.randrange(1024, 65536), **address)
        extra = f" trace={pick.getrandbits(256):064x}" if lane == "random" else ""
        daemon, host = pick.choice(DAEMONS), pick.choice(HOSTS)
        header = f"<{pick.randrange(8) + 8 * pick.choice((3, 4, 10))}>1 {stamp(number, count, end)} {host} {daemon}"
        lines.append(f"{header} {pick.randrange(300, 32768)} - - {message}{extra}\n".encode())
    return lines


def process_event(pick: random.Random, time: str, lane: str = "plain") -> dict:
    """A process creation as SecurityEvent has it: about 700 bytes of JSON."""
    image, command, parent = pick.choice(PROGRAMS)
    user = pick.choice(USERS)
    event = {
        "TimeGenerated": time,
        "EventID": 4688,
        "Activity": "4688 - A new process has been created.",
        "Channel": "Security",
        "Computer": pick.choice(HOSTS),
        "EventSourceName": "Microsoft-Windows-Security-Auditing",
        "SubjectUserName": user,
        "SubjectDomainName": "CORP",
        "SubjectUserSid": f"S-1-5-21-1004336348-1177238915-682003330-{1000 + int(user[4:])}",
        "SubjectLogonId": f"0x{pick.getrandbits(24):x}",
        "NewProcessId": f"0x{pick.getrandbits(14):x}",
        "NewProcessName": image,
        "ParentProcessName": parent,
        "ProcessId": f"0x{pick.getrandbits(14):x}",
        "CommandLine": command.format(pick.randrange(5_000)),
        "TokenElevationType": "%%1938",
        "MandatoryLabel": "S-1-16-8192",
    }
    if lane == "random":
        event["CommandLine"] += f" --token {pick.getrandbits(1024):0256x}"
    return event


def process_lines(count: int, seed: int = 2, lane: str = "plain") -> list[bytes]:
    """One JSON object a line."""
    pick, end = random.Random(seed), now()
    return [json.dumps(process_event(pick, stamp(number, count, end), lane)).encode() + b"\n" for number in range(count)]


def bundles(lines: list[bytes], size: int) -> list[bytes]:
    """Request bodies of `size` lines."""
    return [b"".join(lines[start : start + size]) for start in range(0, len(lines), size)]

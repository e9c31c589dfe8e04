"""rsyslog and syslog-ng to a server that is stopped and killed, while they are restarted themselves.

Both read one file of numbered lines that grows, and send each line over every protocol, configured as the files in
docs/examples are. RELP loses nothing: a message that was stored before its acknowledgement came through is sent again,
so it may be there twice. Over TCP and TLS an orderly end of either side loses nothing, but for syslog-ng over TLS, which
does not see that the server ends; what was under way when the server was killed is acknowledged by TCP alone, and is
lost: the proof counts it, and that nothing else is. `logger` sends to the server itself. MONETA_BIN names the program.
"""

import contextlib
import glob
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from debian_daemons import Daemon, Steady, certificates, directories, runs
from debian_package import look_up, unpacked
from server import Proof, free_port

KILLS = int(os.environ.get("MONETA_SYSLOG_KILLS", "2"))
PER_SECOND = int(os.environ.get("MONETA_SYSLOG_PER_SECOND", "200"))
EXAMPLES = pathlib.Path(__file__).parent.parent.parent / "docs" / "examples"
RSYSLOG_PACKAGES = ("rsyslog-relp", "librelp0", "rsyslog-gnutls", "rsyslog-openssl")
SYSLOG_NG_PACKAGES = ("syslog-ng-core", "libivykis0", "libpcre3", "libnet1", "libjson-c5", "libwrap0", "libnsl2", "libtirpc3")
LISTENERS = ("tcp", "tls", "relp")
UNDER_WAY = PER_SECOND
"""Lines that may be between a sender and the store: those of a second."""
DEAF = "syslog-ng tls"
"""Does not see that its connection was ended, and sends on until it is gone."""

RSYSLOG = """
global(workDirectory="{directory}")
main_queue(queue.type="LinkedList" queue.filename="main" queue.saveOnShutdown="on" queue.timeoutShutdown="10000")
module(load="imfile")
input(type="imfile" file="{lines}" tag="{name}" severity="info" persistStateInterval="100")
{outputs}
"""

SYSLOG_NG = """
@version: 3.38
source s_src {{ file("{lines}" follow-freq(0.1) flags(no-parse) program-override("syslog-ng")); }};
{outputs}
"""


def example(name, directory, ports):
    """An example of the documentation, with what is of this machine in it."""
    text = (EXAMPLES / name).read_text().replace("moneta.example.com", "localhost")
    listeners = {"2514": "relp", "6514": "tls"}
    text = re.sub(r"\b(2514|6514)\b", lambda port: str(ports[listeners[port[0]]]), text)
    for place in ("/etc/rsyslog.d", "/etc/syslog-ng"):
        text = text.replace(f"{place}/moneta-ca.pem", f"{directory}/authority.pem").replace(place, str(directory))
    return text


def over_tcp(text, name, ports):
    """An example for syslog over TLS as one over TCP alone, which keeps what it cannot send under another name."""
    of_tls = r"global\(.*?\n\)|  tls\(.*?\n    \)|  streamDriver.*?$"
    text = re.sub(of_tls, "", text, flags=re.DOTALL | re.MULTILINE)
    text = text.replace('transport("tls")', 'transport("tcp")').replace(str(ports["tls"]), str(ports["tcp"]))
    return text.replace("moneta-tls", name).replace("d_moneta", f"d_{name}")


def rsyslog(directory, name, lines, outputs):
    """rsyslog that reads the lines, as the program of that name."""
    found = directories(*RSYSLOG_PACKAGES)
    modules = ":".join([*glob.glob("/usr/lib/*/rsyslog"), *found])
    own = directory / name
    command = ["rsyslogd", "-n", "-f", own / "rsyslog.conf", "-i", own / "pid", "-M", modules]
    daemon = Daemon(own, command, {"LD_LIBRARY_PATH": ":".join(found)})
    text = RSYSLOG.format(directory=own, lines=lines, name=name, outputs="\n".join(outputs))
    (own / "rsyslog.conf").write_text(text)
    return daemon


def syslog_ng(directory, lines, outputs):
    """syslog-ng that reads the lines, as the program `syslog-ng`."""
    found = directories(*SYSLOG_NG_PACKAGES)
    root, own = unpacked("syslog-ng-core"), directory / "syslog-ng"
    modules = next(root.rglob("libaffile.so")).parent
    command = [next(root.rglob("sbin/syslog-ng")), "-F", "--no-caps", "--stderr", "-f", own / "syslog-ng.conf"]
    command += ["--module-path", modules, "-R", own / "persist", "-c", own / "control", "-p", own / "pid"]
    daemon = Daemon(own, command, {"LD_LIBRARY_PATH": ":".join(found)}, cwd=directory)
    (own / "syslog-ng.conf").write_text(SYSLOG_NG.format(lines=lines, outputs="\n".join(outputs)))
    return daemon


class SyslogProof(Proof):
    """The server with listeners, and what of the lines came over which."""

    def __init__(self, directory):
        self.ports = {name: free_port() for name in LISTENERS}
        listen = {f"MONETA_SYSLOG__{name.upper()}_LISTEN": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        settings = listen | {
            "MONETA_SYSLOG__ENABLED": "true",
            "MONETA_SYSLOG__UDP_LISTEN": f"127.0.0.1:{self.ports['tcp']}",
            "MONETA_SYSLOG__RELP_TLS": "true",
            "MONETA_SYSLOG__TLS_CERTIFICATE": f"{directory}/server.pem",
            "MONETA_SYSLOG__TLS_KEY": f"{directory}/server.key",
            "MONETA_SYSLOG__TLS_CLIENT_AUTHORITY": f"{directory}/authority.pem",
        }
        super().__init__(directory, settings)

    def arrived(self):
        """How often each number came, by program and protocol."""
        rows = self.query(
            "Syslog | where SyslogMessage startswith 'number='"
            " | summarize n = count() by ProcessName, _Source, number = toint(substring(SyslogMessage, 7, 7))"
        )
        found = {}
        for program, source, number, count in (row for row in rows if isinstance(row, list)):
            found.setdefault(f"{program} {source.split('/')[1]}", {})[number] = count
        return found


def missing(arrived, flow, numbers):
    """Numbers that have not come over a flow."""
    return [number for number in numbers if number not in arrived.get(flow, ())]


class Senders:
    """The daemons, which read the same lines."""

    def __init__(self, directory, ports):
        names = ("rsyslog-relp.conf", "rsyslog-tls.conf", "syslog-ng.conf")
        relp, tls, ng = (example(name, directory, ports) for name in names)
        lines = directory / "lines"
        self.plain_relp = "\n".join(line for line in relp.splitlines() if not line.lstrip().startswith("tls"))
        self.daemons = [
            rsyslog(directory, "rsyslog", lines, [tls, relp, over_tcp(tls, "tcp", ports)]),
            rsyslog(directory, "rsyslog-ossl", lines, [tls.replace('"gtls"', '"ossl"')]),
            syslog_ng(directory, lines, [ng, over_tcp(ng, "tcp", ports)]),
        ]
        self.streams = ["rsyslog tcp", "rsyslog tls", "rsyslog-ossl tls", "syslog-ng tcp", "syslog-ng tls"]
        self.flows = ["rsyslog relp", *self.streams]

    def start(self):
        for daemon in self.daemons:
            daemon.start()

    def restart(self):
        for daemon in self.daemons:
            daemon.restart()

    def kill(self):
        for daemon in self.daemons:
            if daemon.process is not None:
                daemon.kill()


@contextlib.contextmanager
def ended(lines):
    """The numbers of the lines that were under way while the server was not there, or may have been."""
    end = [lines.written - UNDER_WAY, None]
    yield end
    end[1] = lines.written + UNDER_WAY


def touches(run, end):
    """Whether lines from the first to the last of a run were under way at that end of the server."""
    return run[0] <= end[1] and run[1] >= end[0]


def ended_in_order(proof, senders, lines):
    """Either side ends in order and is started again: nothing is lost by who sees the end. Returns where that was."""
    def come(number):
        return lambda: [flow for flow in senders.flows if number not in proof.arrived().get(flow, ())]

    proof.until("senders not heard yet", come(PER_SECOND), [])
    with ended(lines) as end:
        proof.server.stop()
        proof.server.start()
    proof.until("senders not heard after the server ended", come(lines.written), [])
    senders.restart()
    last = lines.written
    proof.until("senders not heard after they ended", come(last), [])

    def lost():
        arrived = proof.arrived()
        return {flow: len(missing(arrived, flow, range(last))) for flow in senders.flows if flow != DEAF}

    proof.until("lines lost", lost, {flow: 0 for flow in senders.flows if flow != DEAF})
    return end


def killed(proof, senders, lines):
    """The server is killed: what it had stored stays. Returns where that was."""
    ends = []
    for _ in range(KILLS):
        time.sleep(1)
        before = proof.arrived()
        with ended(lines) as end:
            proof.restart()
        ends.append(end)
        after = proof.arrived()
        gone = {flow: missing(after, flow, found) for flow, found in before.items()}
        assert not any(gone.values()), f"stored and gone: {gone}"
        time.sleep(1)
    return ends


def all_there(proof, senders, written, in_order, kills):
    """RELP lost nothing; over each stream each kill lost what was under way then, at most."""
    def last(flow):
        return lambda: written - 1 in proof.arrived().get(flow, ())

    for flow in senders.flows:
        proof.until(f"the last line over {flow}", last(flow), True)
    proof.until("lines lost over RELP", lambda: len(missing(proof.arrived(), "rsyslog relp", range(written))), 0)
    arrived = proof.arrived()
    for flow in senders.flows:
        lost, twice = missing(arrived, flow, range(written)), sum(arrived[flow].values()) - len(arrived[flow])
        print(f"{flow}: of {written} lines {len(lost)} lost {runs(lost)}, {twice} came twice", flush=True)
        ends = [in_order, *kills] if flow == DEAF else kills
        elsewhere = [run for run in runs(lost) if not any(touches(run, end) for end in ends)]
        assert not elsewhere, f"{flow}: {elsewhere} lost elsewhere than at the ends of the server, {ends}"
        assert len(runs(lost)) <= len(ends), f"{flow}: lost more often than the server ended"


def relp_without_tls(proof, senders, directory, written):
    """The same lines in one go over RELP without TLS, with a kill in the middle."""
    proof.server.stop()
    proof.server.settings["MONETA_SYSLOG__RELP_TLS"] = "false"
    proof.server.start()
    daemon = rsyslog(directory, "rsyslog-plain", directory / "lines", [senders.plain_relp]).start()

    def found():
        return proof.arrived().get("rsyslog-plain relp", {})

    proof.until("some came over RELP without TLS", lambda: len(found()) > 0, True)
    proof.restart()
    proof.until("lines over RELP without TLS", lambda: len(found()), written)
    daemon.stop()
    print(f"{sum(found().values()) - written} came twice", flush=True)


def with_logger(proof):
    """`logger` sends by itself, in both forms of a message and both framings."""
    sent = "".join(f"number={number:07}\n" for number in range(100))
    for name, options in {
        "logger-tcp": ["--tcp", "--octet-count", "--rfc5424"],
        "logger-lines": ["--tcp", "--rfc3164"],
        "logger-udp": ["--udp", "--rfc5424"],
    }.items():
        command = ["logger", "--server", "127.0.0.1", "--port", str(proof.ports["tcp"]), "--tag", name, *options]
        subprocess.run(command, input=sent, text=True, check=True)
        flow = f"{name} {'udp' if '--udp' in options else 'tcp'}"
        each_once = dict.fromkeys(range(100), 1)
        proof.until(f"each line of {name} once", lambda: proof.arrived().get(flow) == each_once, True)


def main():
    with tempfile.TemporaryDirectory(prefix="moneta-syslog-") as directory:
        directory = pathlib.Path(directory)
        look_up(RSYSLOG_PACKAGES + SYSLOG_NG_PACKAGES)
        certificates(directory)
        proof = SyslogProof(directory)
        senders = Senders(directory, proof.ports)
        lines = Steady(writer(directory / "lines"), PER_SECOND)
        try:
            senders.start()
            in_order = ended_in_order(proof, senders, lines)
            kills = killed(proof, senders, lines)
            written = lines.stop()
            all_there(proof, senders, written, in_order, kills)
            relp_without_tls(proof, senders, directory, written)
            with_logger(proof)
            proof.server.stop()
        finally:
            lines.halt.set()
            senders.kill()
            if proof.server.process.poll() is None:
                proof.server.kill()


def writer(path):
    """Adds numbered lines to a file."""
    path.touch()

    def write(numbers):
        with open(path, "a") as file:
            file.writelines(f"number={number:07} {'x' * 100}\n" for number in numbers)

    return write


if __name__ == "__main__":
    main()

"""Other programs that do part of what Moneta does, run under the same watch: rsyslog writing a text file."""

import pathlib
import shutil

import harness
import programs


class Rsyslog(programs.Process):
    """rsyslog takes syslog over TCP and appends it to one file. It never syncs the file: that is its usual setting."""

    def __init__(self, directory: pathlib.Path):
        self.port, self.output = programs.free_port(), directory / "messages"
        settings = directory / "rsyslog.conf"
        settings.write_text(
            f'global(workDirectory="{directory}")\n'
            'module(load="imtcp")\n'
            'ruleset(name="bench") { action(type="omfile" template="RSYSLOG_SyslogProtocol23Format" '
            f'file="{self.output}") }}\n'
            f'input(type="imtcp" address="127.0.0.1" port="{self.port}" ruleset="bench")\n'
        )
        command = [shutil.which("rsyslogd"), "-n", "-f", settings, "-i", directory / "rsyslog.pid"]
        super().__init__(command, directory / "rsyslog.log")
        self.offset, self.lines = 0, 0
        harness.wait_until("rsyslog listens", lambda: programs.accepts(self.port), seconds_max=30)

    @staticmethod
    def present() -> bool:
        return shutil.which("rsyslogd") is not None

    def num_lines(self) -> int:
        """Lines in its file so far; reads only what is new."""
        if self.output.exists():
            with open(self.output, "rb") as file:
                file.seek(self.offset)
                new = file.read()
            self.offset, self.lines = self.offset + len(new), self.lines + new.count(b"\n")
        return self.lines

//! Who did what from where, read from the text of a message: sign-ins of sshd, PAM, su, sudo and login, sessions,
//! changes of accounts, and for any other program the address that a message says something came from.
//!
//! The names and values are those of the ASIM schemas of authentication and user management, so that one rule reads
//! these messages and the sign-ins of Windows. Only what the text says is filled; the text itself stays whole.
//!
//! Layout of a pattern: text that must be there, and `{name}` for what varies. `{user}` reaches to the last place where
//! what follows it matches, because it is chosen by whoever knocks; the others reach to the first.
//!
//! # Source
//! OpenSSH `auth.c`, `monitor.c`, `packet.c`; Linux-PAM `pam_unix`; sudo `eventlog.c`; shadow `su.c`, `login.c`,
//! `useradd.c`, `usermod.c`; systemd `logind-session.c`.

use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::address;

/// What a message tells about an account. Absent parts are empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Account<'a> {
    pub event_type: &'static str,
    pub result: &'static str,
    pub details: &'static str,
    pub method: &'a str,
    pub actor: &'a str,
    pub target: &'a str,
    pub address: &'a str,
    pub host: &'a str,
    pub port: &'a str,
    pub command: &'a str,
    pub terminal: &'a str,
    pub group: &'a str,
}

/// A pattern of text, and what it tells when it matches.
struct Pattern(&'static str, &'static str, &'static str, &'static str);

const OK: &str = "Success";
const NO: &str = "Failure";
const LOGON: &str = "Logon";
const LOGOFF: &str = "Logoff";
const ELEVATE: &str = "Elevate";
const PASSWORD: &str = "Incorrect password";
const UNKNOWN_USER: &str = "No such user";
const POLICY: &str = "Logon violates policy";

const SSHD: &[Pattern] = &[
    Pattern("Accepted {method} for {user} from {ip} port {port} {_}", LOGON, OK, ""),
    Pattern("Accepted {method} for {user} from {ip} port {port}", LOGON, OK, ""),
    Pattern("Failed password for invalid user {user} from {ip} port {port} {_}", LOGON, NO, UNKNOWN_USER),
    Pattern("Failed {method} for invalid user {user} from {ip} port {port} {_}", LOGON, NO, UNKNOWN_USER),
    Pattern("Failed {method} for illegal user {user} from {ip} port {port} {_}", LOGON, NO, UNKNOWN_USER),
    Pattern("Failed password for {user} from {ip} port {port} {_}", LOGON, NO, PASSWORD),
    Pattern("Failed {method} for {user} from {ip} port {port} {_}", LOGON, NO, ""),
    Pattern("Failed {method} for {user} from {ip} port {port}", LOGON, NO, ""),
    Pattern("Failed {method} for invalid user {user} from {ip}", LOGON, NO, UNKNOWN_USER),
    Pattern("Failed {method} for {user} from {ip}", LOGON, NO, ""),
    Pattern("Invalid user {user} from {ip} port {port}", LOGON, NO, UNKNOWN_USER),
    Pattern("Invalid user {user} from {ip}", LOGON, NO, UNKNOWN_USER),
    Pattern("Illegal user {user} from {ip}", LOGON, NO, UNKNOWN_USER),
    Pattern("Disconnected from user {user} {ip} port {port}", LOGOFF, OK, ""),
    Pattern("Disconnected from invalid user {user} {ip} port {port} [preauth]", LOGON, NO, UNKNOWN_USER),
    Pattern("Disconnected from authenticating user {user} {ip} port {port} [preauth]", LOGON, NO, ""),
    Pattern("Connection closed by invalid user {user} {ip} port {port} [preauth]", LOGON, NO, UNKNOWN_USER),
    Pattern("Connection closed by authenticating user {user} {ip} port {port} [preauth]", LOGON, NO, ""),
    Pattern("Connection reset by invalid user {user} {ip} port {port} [preauth]", LOGON, NO, UNKNOWN_USER),
    Pattern("Connection reset by authenticating user {user} {ip} port {port} [preauth]", LOGON, NO, ""),
    Pattern(
        "maximum authentication attempts exceeded for invalid user {user} from {ip} port {port} {_}",
        LOGON,
        NO,
        UNKNOWN_USER,
    ),
    Pattern("maximum authentication attempts exceeded for {user} from {ip} port {port} {_}", LOGON, NO, ""),
    Pattern("User {user} from {from} not allowed because {_}", LOGON, NO, POLICY),
    Pattern("User {user} not allowed because {_}", LOGON, NO, POLICY),
    Pattern("ROOT LOGIN REFUSED FROM {from} port {port}", LOGON, NO, POLICY),
    Pattern("ROOT LOGIN REFUSED FROM {from}", LOGON, NO, POLICY),
    Pattern("PAM: Authentication failure for illegal user {user} from {from}", LOGON, NO, UNKNOWN_USER),
    Pattern("PAM: Authentication failure for {user} from {from}", LOGON, NO, PASSWORD),
    Pattern("PAM: authentication error for illegal user {user} from {from} via {_}", LOGON, NO, UNKNOWN_USER),
    Pattern("PAM: authentication error for {user} from {from} via {_}", LOGON, NO, PASSWORD),
    Pattern("PAM: authentication error for {user} from {from}", LOGON, NO, PASSWORD),
    Pattern(
        "PAM: User not known to the underlying authentication module for illegal user {user} from {from}",
        LOGON,
        NO,
        UNKNOWN_USER,
    ),
    Pattern(
        "PAM: User not known to the underlying authentication module for {user} from {from}",
        LOGON,
        NO,
        UNKNOWN_USER,
    ),
    Pattern("Authentication refused: {_}", LOGON, NO, ""),
    Pattern("Disconnecting invalid user {user} {ip} port {port}: {_}", LOGON, NO, UNKNOWN_USER),
    Pattern("Disconnecting authenticating user {user} {ip} port {port}: {_}", LOGON, NO, ""),
];

const PAM: &[Pattern] = &[
    Pattern("session opened for user {target}(uid={_}) by {actor}(uid={_})", LOGON, OK, ""),
    Pattern("session opened for user {target}(uid={_}) by (uid={_})", LOGON, OK, ""),
    Pattern("session opened for user {target} by {actor}(uid={_})", LOGON, OK, ""),
    Pattern("session opened for user {target} by (uid={_})", LOGON, OK, ""),
    Pattern("session opened for user {target}", LOGON, OK, ""),
    Pattern("session closed for user {target}", LOGOFF, OK, ""),
    Pattern("check pass; user unknown", LOGON, NO, UNKNOWN_USER),
    Pattern("check pass; user ({user}) unknown", LOGON, NO, UNKNOWN_USER),
    Pattern("bad username [{user}]", LOGON, NO, UNKNOWN_USER),
    Pattern("user [{user}] has no passwd entry", LOGON, NO, UNKNOWN_USER),
    Pattern("password changed for {user}", "PasswordChanged", OK, ""),
    Pattern("account {user} has expired {_}", LOGON, NO, "User expired"),
    Pattern("expired password for user {user} {_}", LOGON, NO, "Password expired"),
];

const SUDO: &[Pattern] = &[
    Pattern(
        "{actor} : user NOT in sudoers ; TTY={tty} ; PWD={_} ; USER={target} ; COMMAND={command}",
        ELEVATE,
        NO,
        POLICY,
    ),
    Pattern(
        "{actor} : command not allowed ; TTY={tty} ; PWD={_} ; USER={target} ; COMMAND={command}",
        ELEVATE,
        NO,
        POLICY,
    ),
    Pattern(
        "{actor} : {_} incorrect password attempts ; TTY={tty} ; PWD={_} ; USER={target} ; COMMAND={command}",
        ELEVATE,
        NO,
        PASSWORD,
    ),
    Pattern(
        "{actor} : {_} incorrect password attempt ; TTY={tty} ; PWD={_} ; USER={target} ; COMMAND={command}",
        ELEVATE,
        NO,
        PASSWORD,
    ),
    Pattern("{actor} : {_} ; TTY={tty} ; PWD={_} ; USER={target} ; COMMAND={command}", ELEVATE, NO, ""),
    Pattern("{actor} : TTY={tty} ; PWD={_} ; USER={target} ; GROUP={group} ; COMMAND={command}", ELEVATE, OK, ""),
    Pattern("{actor} : TTY={tty} ; PWD={_} ; USER={target} ; COMMAND={command}", ELEVATE, OK, ""),
    Pattern("{actor} : PWD={_} ; USER={target} ; COMMAND={command}", ELEVATE, OK, ""),
];

const SU: &[Pattern] = &[
    Pattern("Successful su for {target} by {actor}", ELEVATE, OK, ""),
    Pattern("FAILED su for {target} by {actor}", ELEVATE, NO, ""),
    Pattern("FAILED SU (to {target}) {actor} on {tty}", ELEVATE, NO, ""),
    Pattern("(to {target}) {actor} on {tty}", ELEVATE, OK, ""),
    Pattern("'su {target}' failed for {actor} on {tty}", ELEVATE, NO, ""),
    Pattern("'su {target}' succeeded for {actor} on {tty}", ELEVATE, OK, ""),
    Pattern("BAD SU {actor} to {target} on {tty}", ELEVATE, NO, ""),
];

const DOAS: &[Pattern] = &[
    Pattern("failed auth for {actor}", ELEVATE, NO, PASSWORD),
    Pattern("failed command for {actor}: {command}", ELEVATE, NO, POLICY),
    Pattern("{actor} ran command {command} as {target} from {_}", ELEVATE, OK, ""),
    Pattern("command not permitted for {actor}: {command}", ELEVATE, NO, POLICY),
];

const LOGIN: &[Pattern] = &[
    Pattern("FAILED LOGIN {_} FROM {from} FOR {user}, {_}", LOGON, NO, ""),
    Pattern("FAILED LOGIN {_} on '{tty}' from '{from}' FOR '{user}', {_}", LOGON, NO, ""),
    Pattern("FAILED LOGIN {_} on '{tty}' FOR '{user}', {_}", LOGON, NO, ""),
    Pattern("ROOT LOGIN ON {tty} FROM {from}", LOGON, OK, ""),
    Pattern("ROOT LOGIN ON {tty}", LOGON, OK, ""),
    Pattern("LOGIN ON {tty} BY {user} FROM {from}", LOGON, OK, ""),
    Pattern("LOGIN ON {tty} BY {user}", LOGON, OK, ""),
    Pattern("New session {_} of user {user}.", LOGON, OK, ""),
    Pattern("New session {_} of user {user} {_}", LOGON, OK, ""),
];

const ACCOUNTS: &[Pattern] = &[
    Pattern("new user: name={target}, UID={_}", "UserCreated", OK, ""),
    Pattern("failed adding user '{target}', {_}", "UserCreated", NO, ""),
    Pattern("delete user '{target}'", "UserDeleted", OK, ""),
    Pattern("new group: name={group}, GID={_}", "GroupCreated", OK, ""),
    Pattern("group '{group}' removed", "GroupDeleted", OK, ""),
    Pattern("removed group '{group}' owned by '{_}'", "GroupDeleted", OK, ""),
    Pattern("add '{target}' to group '{group}'", "UserAddedToGroup", OK, ""),
    Pattern("add '{target}' to shadow group '{group}'", "UserAddedToGroup", OK, ""),
    Pattern("user {target} added by {actor} to group {group}", "UserAddedToGroup", OK, ""),
    Pattern("user {target} removed by {actor} from group {group}", "UserRemovedFromGroup", OK, ""),
    Pattern("delete '{target}' from group '{group}'", "UserRemovedFromGroup", OK, ""),
    Pattern("delete '{target}' from shadow group '{group}'", "UserRemovedFromGroup", OK, ""),
    Pattern("change user '{target}' password", "PasswordChanged", OK, ""),
    Pattern("change user '{target}' {_}", "UserModified", OK, ""),
    Pattern("lock user '{target}' password", "UserDisabled", OK, ""),
    Pattern("unlock user '{target}' password", "UserEnabled", OK, ""),
    Pattern("password changed for {target}", "PasswordChanged", OK, ""),
    Pattern("changed password expiry for {target}", "UserModified", OK, ""),
];

/// The patterns of a program.
fn patterns(process: &str) -> &'static [Pattern] {
    match process.rsplit('/').next().unwrap_or(process) {
        "sshd" | "sshd-session" | "sshd-auth" | "dropbear" => SSHD,
        "sudo" => SUDO,
        "su" => SU,
        "doas" => DOAS,
        "login" | "systemd-logind" | "remote" => LOGIN,
        "useradd" | "userdel" | "usermod" | "groupadd" | "groupdel" | "groupmod" | "gpasswd" | "passwd" | "chage"
        | "chpasswd" => ACCOUNTS,
        _ => &[],
    }
}

/// Reads what a message of a program tells about accounts; `None` when it tells nothing.
pub(super) fn read<'a>(process: &str, text: &'a str) -> Option<Account<'a>> {
    let text = text.trim_start();
    let own = || {
        let text = text.strip_prefix("error: ").or_else(|| text.strip_prefix("fatal: ")).unwrap_or(text);
        patterns(process).iter().find_map(|pattern| pattern.read(text))
    };
    pam(text).or_else(own).or_else(|| {
        let address = address::source(text)?;
        let target = if address::speaks_of_refusal(text) { address::user(text) } else { None };
        Some(Account { address, target: target.unwrap_or_default(), ..Account::default() })
    })
}

static PAM_MODULE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("pam_"));

/// A message of a PAM module: `pam_unix(service:type): ...`, or `PAM ...` as sshd repeats it.
fn pam(text: &str) -> Option<Account<'_>> {
    // Where the time was of an unusual form, it and the tag stand in the text too.
    let module = PAM_MODULE.find(text.as_bytes()).filter(|at| *at == 0 || text.as_bytes()[at - 1] == b' ');
    let said = match module {
        Some(at) => text[at..].split_once("): ")?.1,
        None => text.strip_prefix("PAM ").map(|rest| rest.split_once(": ").map_or(rest, |(_, rest)| rest))?,
    };
    if let Some(at) = said.find("authentication failure; ") {
        return Some(failure(&said[at..]));
    }
    // `PAM 2 more authentication failures; logname= ...`
    if let Some(at) = text.find("more authentication failure") {
        return Some(failure(&text[at..]));
    }
    PAM.iter().find_map(|pattern| pattern.read(said))
}

/// The keys and values of a failure: `logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root`.
fn failure(text: &str) -> Account<'_> {
    let mut account = Account { event_type: LOGON, result: NO, ..Account::default() };
    // Behind `user=` stands what was typed, to the end.
    let (head, user) = text.rsplit_once(" user=").unwrap_or((text, ""));
    account.target = user.trim();
    // `ruser` is what the peer says of itself and may hold anything: the last `rhost` is the module's own.
    if let Some((_, from)) = head.rsplit_once("rhost=") {
        account.set("from", from.split(' ').next().unwrap_or_default());
    }
    for part in head.split([' ', ';']) {
        match part.split_once('=') {
            Some(("tty", value)) => account.terminal = value,
            Some(("ruser", value)) if !value.contains('=') => account.actor = value,
            _ => {}
        }
    }
    account
}

impl<'a> Account<'a> {
    /// Sets a part by its name in patterns; says whether the value can be one.
    fn set(&mut self, name: &str, value: &'a str) -> bool {
        let value = value.trim();
        let slot = match name {
            "user" | "target" => &mut self.target,
            "actor" => &mut self.actor,
            "method" => &mut self.method,
            "command" => &mut self.command,
            "tty" => &mut self.terminal,
            "group" => &mut self.group,
            "ip" | "from" => {
                let slot = if value.parse::<IpAddr>().is_ok() { &mut self.address } else { &mut self.host };
                *slot = address::unmapped(value);
                return !value.is_empty() && !value.contains(' ');
            }
            "port" => {
                self.port = value;
                return value.parse::<u16>().is_ok();
            }
            _ => return true,
        };
        *slot = value;
        true
    }
}

impl Pattern {
    fn read<'a>(&self, text: &'a str) -> Option<Account<'a>> {
        // Of many patterns most end here.
        let first = self.0.as_bytes().first();
        if first != Some(&b'{') && first != text.as_bytes().first() {
            return None;
        }
        let (literal, pattern) = self.0.split_once('{')?;
        let account = Account { event_type: self.1, result: self.2, details: self.3, ..Account::default() };
        account.filled(pattern, text.strip_prefix(literal)?)
    }
}

/// Places tried for the end of a name that was chosen by whoever knocks.
const ENDS_MAX: usize = 16;

impl<'a> Account<'a> {
    /// Fills in the parts that a pattern names from here on: `name}literal{name}literal`.
    fn filled(self, pattern: &str, text: &'a str) -> Option<Self> {
        let (name, behind) = pattern.split_once('}')?;
        let (literal, next) = behind.split_once('{').map_or((behind, None), |(literal, next)| (literal, Some(next)));
        let with = |value: &'a str| {
            let mut account = self.clone();
            account.set(name, value).then_some(account)
        };
        if literal.is_empty() {
            return with(text);
        }
        let at = |at: usize| {
            let (value, rest) = (&text[..at], &text[at + literal.len()..]);
            match next {
                Some(next) => with(value)?.filled(next, rest),
                None => with(value).filter(|_| rest.is_empty()),
            }
        };
        if name == "user" {
            text.rmatch_indices(literal).take(ENDS_MAX).find_map(|(end, _)| at(end))
        } else {
            at(text.find(literal)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(process: &str, text: &str, expected: &Account<'_>) {
        assert_eq!(read(process, text).as_ref(), Some(expected), "{text}");
    }

    #[test]
    fn sign_ins_over_ssh_are_read() {
        let accepted = Account {
            event_type: LOGON,
            result: OK,
            method: "publickey",
            target: "ann",
            address: "192.0.2.7",
            port: "4242",
            ..Account::default()
        };
        check("sshd", "Accepted publickey for ann from 192.0.2.7 port 4242 ssh2: RSA SHA256:x", &accepted);
        check("/usr/sbin/sshd", "Accepted publickey for ann from 192.0.2.7 port 4242", &accepted);
        let failed = Account { result: NO, details: UNKNOWN_USER, method: "", target: "bob", ..accepted.clone() };
        check("sshd", "Failed password for invalid user bob from 192.0.2.7 port 4242 ssh2", &failed);
        check("sshd-session", "Invalid user bob from 192.0.2.7 port 4242", &failed);
        check(
            "sshd",
            "error: maximum authentication attempts exceeded for bob from 2001:db8::1 port 4242 ssh2 [preauth]",
            &Account { details: "", address: "2001:db8::1", ..failed },
        );
    }

    /// A name can be made to look like the rest of the message.
    #[test]
    fn a_name_cannot_forge_the_address() {
        let found = read(
            "sshd",
            "Failed password for invalid user x from 203.0.113.9 port 1 ssh2 from 192.0.2.7 port 4242 ssh2",
        );
        let found = found.unwrap();
        assert_eq!((found.address, found.target), ("192.0.2.7", "x from 203.0.113.9 port 1 ssh2"));
        let found = read(
            "sshd",
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser=rhost=203.0.113.9 rhost=192.0.2.7  user=root",
        );
        let found = found.unwrap();
        assert_eq!((found.address, found.target, found.terminal), ("192.0.2.7", "root", "ssh"));
    }

    fn sudo_like() -> Account<'static> {
        Account { event_type: ELEVATE, result: OK, actor: "ann", target: "root", ..Account::default() }
    }

    #[test]
    fn sessions_and_elevations_are_read() {
        let session = Account { event_type: LOGON, result: OK, target: "ann", actor: "root", ..Account::default() };
        check("su", "pam_unix(su:session): session opened for user ann(uid=1000) by root(uid=0)", &session);
        check(
            "sshd",
            "pam_unix(sshd:session): session opened for user ann by (uid=0)",
            &Account { actor: "", ..session.clone() },
        );
        check(
            "sshd",
            "pam_unix(sshd:session): session closed for user ann",
            &Account { event_type: LOGOFF, actor: "", ..session },
        );
        let sudo = Account {
            event_type: ELEVATE,
            result: OK,
            actor: "ann",
            target: "root",
            terminal: "pts/0",
            command: "/bin/sh -c a ; b",
            ..Account::default()
        };
        check("sudo", "     ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/bin/sh -c a ; b", &sudo);
        check(
            "sudo",
            "ann : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh -c a ; b",
            &Account { result: NO, details: POLICY, ..sudo },
        );
        check(
            "doas",
            "ann ran command /bin/ksh as root from /home/ann",
            &Account { command: "/bin/ksh", terminal: "", ..sudo_like() },
        );
        let su = Account { event_type: ELEVATE, result: NO, actor: "ann", target: "root", ..Account::default() };
        check("su", "FAILED su for root by ann", &su);
        check("su", "FAILED SU (to root) ann on pts/1", &Account { terminal: "pts/1", ..su });
    }

    #[test]
    fn changes_of_accounts_are_read() {
        let created = Account { event_type: "UserCreated", result: OK, target: "ann", ..Account::default() };
        check("useradd", "new user: name=ann, UID=1001, GID=1001, home=/home/ann, shell=/bin/sh", &created);
        let added = Account { event_type: "UserAddedToGroup", group: "sudo", ..created };
        check("usermod", "add 'ann' to group 'sudo'", &added);
        check("gpasswd", "user ann added by root to group sudo", &Account { actor: "root", ..added });
    }

    #[test]
    fn other_messages_tell_nothing_but_where_from() {
        assert_eq!(read("cron", "(root) CMD (true)"), None);
        assert_eq!(read("sshd", "Server listening on 0.0.0.0 port 22."), None);
        check(
            "postfix/smtpd",
            "connect from mail.example.org[192.0.2.7]",
            &Account { address: "192.0.2.7", ..Account::default() },
        );
    }
}

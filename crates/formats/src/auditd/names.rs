//! Names behind the numbers of audit records, and what the types of records mean.
//!
//! # Source
//! `linux/audit.h` for types, the kernel's system call tables for x86-64, x86 and arm64 (`asm/unistd.h`), `errno.h`.

use std::sync::LazyLock;

use moneta_event::RecordClass;

/// Tables of names, one `number name` a line, in the order of numbers.
struct Names(LazyLock<Vec<(u32, &'static str)>>);

static X86_64: Names = Names(LazyLock::new(|| list(include_str!("syscalls_x86_64.txt"))));
static X86: Names = Names(LazyLock::new(|| list(include_str!("syscalls_i386.txt"))));
static ARM64: Names = Names(LazyLock::new(|| list(include_str!("syscalls_aarch64.txt"))));
static ERRORS: Names = Names(LazyLock::new(|| list(include_str!("errors.txt"))));

fn list(text: &'static str) -> Vec<(u32, &'static str)> {
    let entry = |line: &'static str| line.split_once(' ').and_then(|(number, name)| Some((number.parse().ok()?, name)));
    text.lines().filter_map(entry).collect()
}

impl Names {
    fn get(&self, number: u32) -> Option<&'static str> {
        let at = self.0.binary_search_by_key(&number, |(known, _)| *known).ok()?;
        Some(self.0[at].1)
    }
}

/// The name of an architecture's identifier.
pub(super) fn architecture(hex: &str) -> Option<&'static str> {
    Some(match hex {
        "c000003e" => "x86_64",
        "40000003" => "i386",
        "c00000b7" => "aarch64",
        "40000028" => "arm",
        "c0000015" => "ppc64le",
        "80000015" => "ppc64",
        "80000016" => "s390x",
        "c00000f3" => "riscv64",
        _ => return None,
    })
}

/// The name of a system call.
pub(super) fn syscall(architecture: &str, number: u32) -> Option<&'static str> {
    match architecture {
        "x86_64" => X86_64.get(number),
        "i386" => X86.get(number),
        "aarch64" => ARM64.get(number),
        _ => None,
    }
}

/// The name of an error number.
pub(super) fn error(number: u32) -> Option<&'static str> {
    ERRORS.get(number)
}

/// Records the kernel sends together with others of the same event. All other types stand alone.
const JOINED: [&str; 60] = [
    "SYSCALL",
    "PATH",
    "IPC",
    "SOCKETCALL",
    "CONFIG_CHANGE",
    "SOCKADDR",
    "CWD",
    "EXECVE",
    "IPC_SET_PERM",
    "MQ_OPEN",
    "MQ_SENDRECV",
    "MQ_NOTIFY",
    "MQ_GETSETATTR",
    "KERNEL_OTHER",
    "FD_PAIR",
    "OBJ_PID",
    "TTY",
    "BPRM_FCAPS",
    "CAPSET",
    "MMAP",
    "NETFILTER_PKT",
    "NETFILTER_CFG",
    "SECCOMP",
    "PROCTITLE",
    "FEATURE_CHANGE",
    "REPLACE",
    "KERN_MODULE",
    "FANOTIFY",
    "TIME_INJOFFSET",
    "TIME_ADJNTPVAL",
    "BPF",
    "EVENT_LISTENER",
    "URINGOP",
    "OPENAT2",
    "DM_CTRL",
    "DM_EVENT",
    "LANDLOCK_ACCESS",
    "LANDLOCK_DOMAIN",
    "AVC",
    "SELINUX_ERR",
    "AVC_PATH",
    "MAC_POLICY_LOAD",
    "MAC_STATUS",
    "MAC_CONFIG_CHANGE",
    "MAC_UNLBL_ALLOW",
    "MAC_CIPSOV4_ADD",
    "MAC_CIPSOV4_DEL",
    "MAC_MAP_ADD",
    "MAC_MAP_DEL",
    "MAC_IPSEC_EVENT",
    "MAC_TASK_CONTEXTS",
    "MAC_OBJ_CONTEXTS",
    "APPARMOR_DENIED",
    "APPARMOR_ALLOWED",
    "APPARMOR_STATUS",
    "ANOM_PROMISCUOUS",
    "ANOM_ABEND",
    "ANOM_LINK",
    "ANOM_CREAT",
    "CONTAINER_OP",
];

/// Whether records of a type are an event by themselves.
pub(super) fn stands_alone(kind: &str) -> bool {
    !JOINED.contains(&kind) && !kind.starts_with("UNKNOWN[13") && !kind.starts_with("INTEGRITY_")
}

/// The class of an event: what people and services do to accounts, sessions and settings is control.
pub(super) fn class(kind: &str) -> RecordClass {
    match category(kind) {
        "audit-rule" | "other" => RecordClass::Data,
        _ => RecordClass::Control,
    }
}

/// What kind of event a type begins.
pub(super) fn category(kind: &str) -> &'static str {
    let begins = |words: &[&str]| words.iter().any(|word| kind.starts_with(word));
    if begins(&["USER_AUTH", "USER_LOGIN", "USER_LOGOUT", "USER_START", "USER_END", "USER_ERR", "CRED_", "LOGIN"])
        || begins(&["USER_ACCT", "GRP_AUTH", "USER_CHAUTHTOK"])
    {
        "user-login"
    } else if begins(&["ADD_", "DEL_", "GRP_", "ACCT_", "USER_MGMT", "ROLE_", "CHUSER_ID", "CHGRP_ID"]) {
        "user-account"
    } else if begins(&[
        "CONFIG_CHANGE",
        "DAEMON_",
        "FEATURE_CHANGE",
        "USYS_CONFIG",
        "MAC_",
        "USER_MAC",
        "NETFILTER_CFG",
    ]) {
        "configuration"
    } else if begins(&["SERVICE_", "SYSTEM_", "VIRT_", "KERNEL"]) {
        "system-services"
    } else if begins(&["AVC", "USER_AVC", "SELINUX_", "USER_SELINUX", "APPARMOR", "SECCOMP"]) {
        "mandatory-access-control"
    } else if begins(&["ANOM_", "RESP_", "INTEGRITY_"]) {
        "anomaly"
    } else if begins(&["CRYPTO_"]) {
        "cryptography"
    } else if begins(&["USER_CMD", "TTY", "USER_TTY"]) {
        "user-command"
    } else if begins(&["SYSCALL", "PROCTITLE", "EXECVE", "PATH", "CWD", "SOCKADDR", "BPRM", "TIME_", "BPF", "OBJ_"]) {
        "audit-rule"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_names() {
        assert_eq!(syscall("x86_64", 59), Some("execve"));
        assert_eq!(syscall("i386", 11), Some("execve"));
        assert_eq!(syscall("aarch64", 221), Some("execve"));
        assert_eq!(error(115), Some("EINPROGRESS"));
        assert_eq!(syscall("x86_64", 99_999), None);
        assert!(!stands_alone("SYSCALL") && stands_alone("USER_LOGIN"));
    }
}

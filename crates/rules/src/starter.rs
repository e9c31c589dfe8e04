//! The rules that come with Moneta, `content/rules`, as texts in the program: a fresh installation detects without a
//! download.
//!
//! They are files like any other: whoever adds them has them parsed and compiled. A test holds this list against the
//! folder.

/// A rule file: its name and its text.
pub type StarterFile = (&'static str, &'static str);

macro_rules! files {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../../../content/rules/", $name))),)*]
    };
}

/// All files, by name.
pub const FILES: &[StarterFile] = files![
    "aws_access_key_created.yml",
    "aws_admin_policy_attached.yml",
    "aws_root_used.yml",
    "aws_trail_stopped.yml",
    "azure_consent_granted.yml",
    "azure_flow_beaconing.yaml",
    "azure_flow_scanning.yaml",
    "azure_impossible_travel.yaml",
    "azure_key_vault_enumeration.yaml",
    "azure_legacy_sign_in.yml",
    "azure_mass_deletion.yml",
    "azure_password_spray.yaml",
    "azure_role_assigned.yml",
    "calls_premium_numbers.yaml",
    "calls_toll_fraud.yaml",
    "detection_switched_off.yaml",
    "ledger_alarms.yaml",
    "linux_audit_stopped.yml",
    "linux_cron_written.yml",
    "linux_download_piped_to_shell.yml",
    "linux_history_removed.yml",
    "linux_reverse_shell.yml",
    "linux_setuid_set.yml",
    "linux_shadow_read.yml",
    "linux_ssh_brute_force.yml",
    "linux_ssh_invalid_user.yml",
    "linux_ssh_root_login.yml",
    "linux_sudo_not_allowed.yml",
    "linux_user_added_to_admin_group.yml",
    "linux_web_server_starts_shell.yml",
    "m365_forwarding_rule.yml",
    "m365_mass_download.yml",
    "source_silent.yaml",
    "sql_xp_cmdshell.yaml",
    "web_shell_upload_directory.yaml",
    "windows_account_locked.yml",
    "windows_added_to_admins.yml",
    "windows_archive_with_password.yml",
    "windows_audit_policy_changed.yml",
    "windows_audit_policy_changed_by_tool.yml",
    "windows_bitsadmin_download.yml",
    "windows_brute_force.yml",
    "windows_certutil_download.yml",
    "windows_defender_disabled.yml",
    "windows_domain_admins_listed.yml",
    "windows_encoded_powershell.yml",
    "windows_explicit_credentials_remote.yml",
    "windows_firewall_disabled.yml",
    "windows_kerberos_weak_ticket.yml",
    "windows_log_cleared_by_tool.yml",
    "windows_lsass_access.yml",
    "windows_lsass_dumped.yml",
    "windows_mshta_remote.yml",
    "windows_ntds_copied.yml",
    "windows_office_starts_shell.yml",
    "windows_password_spray.yml",
    "windows_powershell_download.yml",
    "windows_psexec_service.yml",
    "windows_recovery_disabled.yml",
    "windows_registry_hives_saved.yml",
    "windows_regsvr32_remote.yml",
    "windows_run_key_set.yml",
    "windows_rundll32_script.yml",
    "windows_scheduled_task_created.yml",
    "windows_security_log_cleared.yml",
    "windows_service_installed.yml",
    "windows_service_installed_security.yml",
    "windows_shadow_copies_deleted.yml",
    "windows_sid_history_added.yml",
    "windows_sql_server_starts_shell.yml",
    "windows_system_log_cleared.yml",
    "windows_user_created.yml",
    "windows_web_server_starts_shell.yml",
    "windows_whoami_all.yml",
    "windows_wmi_remote_process.yml",
];

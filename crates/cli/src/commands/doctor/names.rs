//! Whether the host names of the configuration mean something: receivers of alerts, brokers, witnesses, buckets.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use moneta_server::Config;
use serde_json::Value;

use super::Finding;
use crate::commands::rules::to_value;
use crate::failure::Failure;

/// How long a name may take; whoever waits for it waits as long.
const WAIT: Duration = Duration::from_secs(5);
/// Keys whose texts are `host:port` or `host` without a scheme.
const PLAIN_KEYS: [&str; 3] = ["brokers", "servers", "server"];

/// One finding a name; one in all when there is none.
///
/// # Errors
/// Never for the types of this program.
pub(super) async fn findings(config: &Config) -> Result<Vec<Finding>, Failure> {
    let mut hosts = BTreeSet::new();
    collect("", &to_value(config)?, &mut hosts);
    if hosts.is_empty() {
        return Ok(vec![Finding::ok("host names", "none is configured")]);
    }
    let mut findings = Vec::new();
    for host in hosts {
        findings.push(resolve(&host).await);
    }
    Ok(findings)
}

async fn resolve(host: &str) -> Finding {
    let fix = "check the spelling and /etc/resolv.conf: what goes there waits";
    match tokio::time::timeout(WAIT, tokio::net::lookup_host((host, 0))).await {
        Err(_) => Finding::fail("host name", format!("{host}: no answer in {} s", WAIT.as_secs()), fix),
        Ok(Err(error)) => Finding::fail("host name", format!("{host}: {error}"), fix),
        Ok(Ok(addresses)) => {
            let addresses: BTreeSet<String> = addresses.map(|address| address.ip().to_string()).collect();
            Finding::ok("host name", format!("{host} is {}", addresses.into_iter().collect::<Vec<_>>().join(", ")))
        }
    }
}

/// The hosts of all addresses in a value that are names.
fn collect(key: &str, value: &Value, hosts: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| collect(name, value, hosts)),
        Value::Array(items) => items.iter().for_each(|item| collect(key, item, hosts)),
        Value::String(text) => hosts.extend(host_of(key, text)),
        _ => {}
    }
}

fn host_of(key: &str, text: &str) -> Option<String> {
    let host = if text.contains("://") {
        reqwest::Url::parse(text).ok()?.host_str()?.to_owned()
    } else if PLAIN_KEYS.contains(&key) {
        text.rsplit_once(':').map_or(text, |(host, _)| host).to_owned()
    } else {
        return None;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    (!bare.is_empty() && bare.parse::<IpAddr>().is_err()).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn hosts_are_found_wherever_they_stand() {
        let mut config = Config::default();
        let mut hosts = BTreeSet::new();
        collect("", &to_value(&config).unwrap(), &mut hosts);
        assert!(hosts.is_empty(), "{hosts:?}");
        config.notify.webhook_url = Some("https://hooks.example.com/x".to_owned());
        collect("", &to_value(&config).unwrap(), &mut hosts);
        assert_eq!(hosts.into_iter().collect::<Vec<_>>(), ["hooks.example.com"]);
        let check = |key: &str, text: &str, expected: Option<&str>| {
            assert_eq!(host_of(key, text).as_deref(), expected, "{key} {text}");
        };
        check("brokers", "kafka1.example.com:9092", Some("kafka1.example.com"));
        check("brokers", "10.0.0.1:9092", None);
        check("servers", "nats://[::1]:4222", None);
        check("listen", "127.0.0.1:7979", None);
        check("region", "us-east-1", None);
    }

    #[tokio::test]
    async fn a_name_that_means_nothing_fails() {
        assert_eq!(resolve("localhost").await.verdict, Verdict::Ok);
        assert_eq!(resolve("no-such-host.invalid").await.verdict, Verdict::Fail);
    }
}

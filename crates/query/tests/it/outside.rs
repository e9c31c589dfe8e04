//! What queries read outside the store: files and web addresses that were allowed, and nothing else.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use moneta_query::Outside;
use moneta_testkit::TestDir;

use crate::support::{Fixture, kql, rendered};

fn externaldata(location: &str) -> String {
    format!("externaldata(name:string, age:long)['{location}'] with (format='csv') | where age > 30 | project name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_below_an_allowed_directory_are_rows() {
    let directory = TestDir::new();
    std::fs::write(directory.join("people.csv"), "ann,31\nbob,7\n").unwrap();
    let place = directory.join("people.csv").to_string_lossy().into_owned();
    let allowed = directory.join("").to_string_lossy().into_owned();
    let fixture = Fixture::with_outside(Outside::new(&[allowed], None).unwrap());
    assert_eq!(fixture.rows(kql(&externaldata(&place))).await, ["ann"]);
    assert_eq!(fixture.rows(kql(&externaldata(&format!("file://{place}")))).await, ["ann"]);
    let error = fixture.run(kql(&externaldata("/etc/hostname"))).await.unwrap_err();
    assert!(rendered(&error).contains("external_locations"), "{error}");
}

/// A server that gives every request the same answer.
fn serve(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_web_address_is_read_and_its_refusals_are_told() {
    let good = serve("HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\nann,31\nbob,7\n\n");
    let gone =
        serve("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let outside = Outside::new(&[format!("{good}lists"), gone.clone()], None).unwrap();
    let fixture = Fixture::with_outside(outside);
    assert_eq!(fixture.rows(kql(&externaldata(&format!("{good}lists/people.csv")))).await, ["ann"]);
    let error = fixture.run(kql(&externaldata(&format!("{gone}people.csv")))).await.unwrap_err();
    assert!(rendered(&error).contains("302"), "redirects are not followed: {error}");
    assert!(fixture.run(kql(&externaldata(&format!("{good}other/people.csv")))).await.is_err());
}

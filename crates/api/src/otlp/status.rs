//! What became of a request as a `google.rpc.Status`, which both transports of OTLP answer with.
//!
//! # Source
//! gRPC documentation, "Status codes and their use in gRPC"; `google/rpc/status.proto` and `error_details.proto`;
//! OpenTelemetry Protocol specification, "Failures" and "OTLP/gRPC Throttling": which codes may be sent again, and that
//! `RESOURCE_EXHAUSTED` may only be with a `RetryInfo`.

use axum::http::StatusCode;

use crate::ApiError;

const INVALID_ARGUMENT: u8 = 3;
const DEADLINE_EXCEEDED: u8 = 4;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

/// How a client knows the detail that says when to send again.
const RETRY_INFO: &[u8] = b"type.googleapis.com/google.rpc.RetryInfo";

/// The code that gRPC has for an error.
pub(crate) fn code(error: &ApiError) -> u8 {
    match error.status {
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => RESOURCE_EXHAUSTED,
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => DEADLINE_EXCEEDED,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => UNIMPLEMENTED,
        status if status.is_client_error() => INVALID_ARGUMENT,
        _ => INTERNAL,
    }
}

/// The message: its code (1), its text (2) and, when the error says when to send again, that as a detail (3).
pub(super) fn message(error: &ApiError) -> Vec<u8> {
    let mut status = vec![0x08, code(error)];
    put(&mut status, 2, error.message.as_bytes());
    if let Some(after) = error.retry_after {
        let mut duration = vec![0x08];
        put_number(&mut duration, after.as_secs());
        duration.push(0x10);
        put_number(&mut duration, u64::from(after.subsec_nanos()));
        let (mut info, mut any) = (Vec::new(), Vec::new());
        put(&mut info, 1, &duration);
        put(&mut any, 1, RETRY_INFO);
        put(&mut any, 2, &info);
        put(&mut status, 3, &any);
    }
    status
}

/// A field of bytes: text or a message. Its number is below 16.
pub(super) fn put(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    put_number(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

pub(super) fn put_number(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    message.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protobuf::Fields;

    #[test]
    fn a_status_says_when_to_send_again() {
        let text = "x".repeat(300);
        let whole = message(&ApiError::busy(text.clone(), Duration::from_millis(1500)));
        let fields: Vec<_> = Fields::of(&whole).map(Result::unwrap).collect();
        assert_eq!((fields[0].1.int(), fields[1].1.text()), (Ok(14), Ok(text.as_str())));
        let any: Vec<_> = Fields::of(fields[2].1.bytes().unwrap()).map(Result::unwrap).collect();
        assert_eq!(any[0].1.bytes(), Ok(RETRY_INFO));
        let (_, delay) = Fields::of(any[1].1.bytes().unwrap()).next().unwrap().unwrap();
        let parts: Vec<_> = Fields::of(delay.bytes().unwrap()).map(|field| field.unwrap().1.int().unwrap()).collect();
        assert_eq!(parts, [1, 500_000_000]);
        assert_eq!(Fields::of(&message(&ApiError::bad_request("no"))).count(), 2);
    }
}

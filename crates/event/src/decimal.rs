//! Values of Kusto's `decimal` while a query computes: whole numbers of 10^-34, and their text. A table keeps fewer
//! digits ([`crate::types::DECIMAL_PRECISION`]); this module never reads or writes one.

use arrow::datatypes::i256;

/// Digits. Kusto's own decimals have 34 significant digits at any exponent, so that values as far apart as
/// `parse_version`'s 10^24 and a third with 34 digits after the point have to fit.
pub const PRECISION: u8 = 76;
/// Those of them that stand after the point.
pub const SCALE: i8 = 34;
/// The number one: 10 to the power of the scale.
pub const ONE: i256 = i256::from_i128(10_i128.pow(34));

/// The `decimal` of a whole number.
#[must_use]
pub fn decimal_of(whole: i64) -> i256 {
    // 10^19 times 10^34 is far from the limit of 10^76.
    i256::from_i128(i128::from(whole)).wrapping_mul(ONE)
}

/// A decimal as `tostring` writes it: without zeros at the end.
#[must_use]
pub fn decimal_text(value: i256) -> String {
    let text = value.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let scale = usize::from(SCALE.unsigned_abs());
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// A decimal read from digits, a point and perhaps an exponent. Digits beyond the scale are cut off; `None` for what is
/// no number or has more than 42 digits before the point.
#[must_use]
pub fn parse_decimal(text: &str) -> Option<i256> {
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.as_bytes().first()? {
        b'-' => ("-", &mantissa[1..]),
        b'+' => ("", &mantissa[1..]),
        _ => ("", mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if digits.bytes().all(|b| b == b'0') {
        return Some(i256::ZERO);
    }
    let shift = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?.checked_add(i32::from(SCALE))?;
    let places = usize::try_from(shift.unsigned_abs()).ok()?;
    if shift < 0 {
        digits.truncate(digits.len().saturating_sub(places));
    } else {
        let significant = digits.trim_start_matches('0').len();
        if significant + places > usize::from(PRECISION) {
            return None;
        }
        digits.extend(std::iter::repeat_n('0', places));
    }
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Some(i256::ZERO),
        length if length > usize::from(PRECISION) => None,
        _ => i256::from_string(&format!("{sign}{digits}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_survive_text() {
        let longest = "123456789012345678901234567890123456789012.1234567890123456789012345678901234";
        for text in ["0", "1.5", "-12.000000000000000001", "100", "1000000020000000300000004", longest] {
            assert_eq!(decimal_text(parse_decimal(text).unwrap()), text);
        }
        assert_eq!(decimal_text(parse_decimal("1.5e3").unwrap()), "1500");
        assert_eq!(decimal_text(parse_decimal("-15e-3").unwrap()), "-0.015");
        assert_eq!(decimal_text(parse_decimal("0.00000000000000000000000000000000001").unwrap()), "0");
        for text in ["x", "", "-", ".", "1e43", "1e2000000000", "1e-9999999999"] {
            assert_eq!(parse_decimal(text), None, "{text}");
        }
        assert_eq!(decimal_text(parse_decimal("1e-2000000000").unwrap()), "0");
        assert_eq!(decimal_text(decimal_of(i64::MIN)), i64::MIN.to_string());
    }
}

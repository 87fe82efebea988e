//! Decimal numbers of any length to scaled integers and back, exactly: no float ever holds money.

/// What becomes of digits below the last one kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// Away from zero. For what is a lower bound.
    Up,
    /// Towards zero.
    Down,
}

/// The number in millionths, `i64::MAX` or `i64::MIN` when it is beyond them; `None` when `text` is no number.
pub(crate) fn to_micros(text: &str, rounding: Rounding) -> Option<i64> {
    let decimal = Decimal::parse(text.as_bytes())?;
    let magnitude = decimal.scaled(6, rounding);
    let micros = i64::try_from(magnitude).ok();
    Some(match (decimal.is_negative, micros) {
        (false, micros) => micros.unwrap_or(i64::MAX),
        (true, micros) => micros.map_or(i64::MIN, |micros| -micros),
    })
}

/// The number without its fraction; `None` when `text` is no number or it does not fit.
pub(crate) fn to_integer(text: &str) -> Option<i64> {
    // Nearly every number of a request is a few digits and nothing else.
    let bytes = text.as_bytes();
    if (1..=18).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit) {
        return Some(
            bytes
                .iter()
                .fold(0, |value, digit| value * 10 + i64::from(digit - b'0')),
        );
    }
    let decimal = Decimal::parse(bytes)?;
    let magnitude = i64::try_from(decimal.scaled(0, Rounding::Down)).ok()?;
    Some(if decimal.is_negative {
        -magnitude
    } else {
        magnitude
    })
}

/// `mantissa` x 10^`exponent`, and a little more if `has_more`.
struct Decimal {
    is_negative: bool,
    mantissa: u128,
    exponent: i64,
    /// Digits beyond the mantissa's room were dropped, and not all were zero.
    has_more: bool,
}

impl Decimal {
    /// Beyond this no further digit is taken in: an `i64` is full long before.
    const MANTISSA_ROOM: u128 = 10_u128.pow(30);

    fn parse(text: &[u8]) -> Option<Self> {
        let (is_negative, unsigned) = match text {
            [b'-', unsigned @ ..] => (true, unsigned),
            unsigned => (false, unsigned),
        };
        let mut decimal = Self {
            is_negative,
            mantissa: 0,
            exponent: 0,
            has_more: false,
        };
        let (whole, rest) = split_digits(unsigned);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => split_digits(rest),
            rest => (&[][..], rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        whole.iter().for_each(|&digit| decimal.push_digit(digit, 0));
        fraction.iter().for_each(|&digit| decimal.push_digit(digit, 1));
        match rest {
            [] => {}
            [b'e' | b'E', exponent @ ..] => decimal.exponent += parse_exponent(exponent)?,
            _ => return None,
        }
        Some(decimal)
    }

    fn push_digit(&mut self, digit: u8, places: i64) {
        if self.mantissa < Self::MANTISSA_ROOM {
            self.mantissa = self.mantissa * 10 + u128::from(digit - b'0');
            self.exponent -= places;
        } else {
            self.has_more |= digit != b'0';
            self.exponent += 1 - places;
        }
    }

    /// The magnitude times 10^`places`, `u128::MAX` when that is too large.
    fn scaled(&self, places: i64, rounding: Rounding) -> u128 {
        if self.mantissa == 0 {
            return 0;
        }
        let exponent = self.exponent + places;
        let power = u32::try_from(exponent.unsigned_abs())
            .ok()
            .and_then(|power| 10_u128.checked_pow(power));
        let (kept, rest_is_zero) = match power {
            Some(power) if exponent >= 0 => (self.mantissa.saturating_mul(power), true),
            Some(power) => (self.mantissa / power, self.mantissa.is_multiple_of(power)),
            None if exponent >= 0 => (u128::MAX, true),
            None => (0, false),
        };
        let is_exact = rest_is_zero && !self.has_more;
        if rounding == Rounding::Up && !is_exact {
            kept.saturating_add(1)
        } else {
            kept
        }
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// The exponent, held within a billion: beyond that it only says "nothing" or "too much".
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(1_000_000_000)
    });
    Some(sign * value)
}

/// Appends millionths as a JSON number with no more digits than it needs: 1_250_000 is `1.25`.
pub(crate) fn write_micros(micros: i64, out: &mut Vec<u8>) {
    if micros < 0 {
        out.push(b'-');
    }
    let magnitude = micros.unsigned_abs();
    write_digits(magnitude / 1_000_000, out);
    let mut fraction = magnitude % 1_000_000;
    if fraction == 0 {
        return;
    }
    out.push(b'.');
    let mut place = 100_000;
    while fraction > 0 {
        out.push(digit(fraction / place));
        fraction %= place;
        place /= 10;
    }
}

pub(crate) fn write_integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_digits(value.unsigned_abs(), out);
}

fn write_digits(mut value: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(digit(value % 10));
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out[start..].reverse();
}

fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micros_are_exact_and_round_as_told() {
        for (text, up, down) in [
            ("0", 0, 0),
            ("-0.0", 0, 0),
            ("1", 1_000_000, 1_000_000),
            ("1.25", 1_250_000, 1_250_000),
            ("0.1", 100_000, 100_000),
            ("0.0000001", 1, 0),
            ("-0.0000001", -1, 0),
            (
                "1.0000000000000000000000000000000000000000001",
                1_000_001,
                1_000_000,
            ),
            ("1e-400", 1, 0),
            ("0e400", 0, 0),
            ("2.5E+3", 2_500_000_000, 2_500_000_000),
            ("250e-2", 2_500_000, 2_500_000),
            ("9223372036854.775807", i64::MAX, i64::MAX),
            ("9223372036854.775808", i64::MAX, i64::MAX),
            ("1e99999999999999999999", i64::MAX, i64::MAX),
            ("-1e300", i64::MIN, i64::MIN),
        ] {
            assert_eq!(to_micros(text, Rounding::Up), Some(up), "{text}");
            assert_eq!(to_micros(text, Rounding::Down), Some(down), "{text}");
        }
    }

    #[test]
    fn integers_lose_their_fraction() {
        for (text, value) in [
            ("7", 7),
            ("300.0", 300),
            ("300.9", 300),
            ("-1.9", -1),
            ("3e2", 300),
            ("007", 7),
            ("1e-9", 0),
        ] {
            assert_eq!(to_integer(text), Some(value), "{text}");
        }
        assert_eq!(to_integer("9223372036854775807"), Some(i64::MAX));
        assert_eq!(to_integer("9223372036854775808"), None);
        assert_eq!(to_integer("1e30"), None);
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "", "-", ".", "e5", "1e", "1e+", "1.2.3", "1,5", " 1", "0x10", "NaN", "--1",
        ] {
            assert_eq!(to_micros(text, Rounding::Up), None, "{text}");
            assert_eq!(to_integer(text), None, "{text}");
        }
    }

    #[test]
    fn micros_are_written_with_no_more_digits_than_needed() {
        for (micros, text) in [
            (0, "0"),
            (1, "0.000001"),
            (1_250_000, "1.25"),
            (10_000_000, "10"),
            (-1_500_000, "-1.5"),
            (i64::MIN, "-9223372036854.775808"),
        ] {
            let mut out = Vec::new();
            write_micros(micros, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
